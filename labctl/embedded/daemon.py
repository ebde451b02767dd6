"""The embedded cluster's process from the inside: lock, log, signals, and word to whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import uvloop

from labctl.embedded.assembly import EmbeddedCluster
from labctl.embedded.settings import EmbeddedSettings, StateDirectory
from labctl.embedded.store import StoreError
from labctl.errors import ClusterError, LabctlError
from labctl.files import write_private
from labctl.objects.kubeconfig import build

_log = logging.getLogger(__name__)


def main(directory: Path, ready_descriptor: int) -> int:
    """Run the cluster until SIGTERM or SIGINT.

    Args:
        directory: The state directory, with settings.json in it.
        ready_descriptor: Written to once: `{}` when the API answers, or `{"error": …, "hint": …}`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state = StateDirectory(directory)
    with os.fdopen(ready_descriptor, "w", encoding="utf-8") as ready:
        try:
            with _locked(state):
                uvloop.run(_serve(state, ready))
        except (LabctlError, StoreError) as error:
            _log.error("%s", error)
            _say(ready, {"error": str(error), "hint": getattr(error, "hint", "")})
            return 1
    return 0


@contextlib.contextmanager
def _locked(state: StateDirectory) -> Iterator[None]:
    """Hold the cluster's lock, with our process id in it; the kernel lets go of it however we end."""
    with state.lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ClusterError(
                f"process {file.read().strip()} runs this cluster already",
                hint="another `labctl up` has just started it: run it again",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # an empty lock file says that the process ended by itself


async def _serve(state: StateDirectory, ready: TextIO) -> None:
    settings = EmbeddedSettings.from_json(state.settings.read_text(encoding="utf-8"))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    cluster = EmbeddedCluster(settings, state)
    await cluster.start()
    _write_kubeconfig(cluster, settings, state)
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: keep it out of every later collection
    gc.enable()
    _log.info("cluster %s answers on %s", settings.name, cluster.url)
    _say(ready, {})
    await stopped.wait()
    _log.info("stopping")
    await cluster.stop()


def _say(ready: TextIO, message: dict[str, str]) -> None:
    """Answer whoever started us; it may have gone away."""
    if not ready.closed:
        with contextlib.suppress(BrokenPipeError):
            ready.write(json.dumps(message) + "\n")
            ready.flush()
        with contextlib.suppress(BrokenPipeError):
            ready.close()


def _write_kubeconfig(cluster: EmbeddedCluster, settings: EmbeddedSettings, state: StateDirectory) -> None:
    """The administrator's kubeconfig; JSON is YAML, and every client reads it."""
    content = build(
        settings.name,
        cluster.url,
        cluster.pki.server_ca.certificate_pem,
        cluster.pki.admin.certificate_pem,
        cluster.pki.admin.key_pem,
    )
    write_private(state.kubeconfig, json.dumps(content, indent=2))
