"""The real Helm 3: found or fetched, and run. Values go in by standard input, so that none shows in a process list."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.download import Progress, fetch, fetch_text
from labctl.env import Env
from labctl.errors import ClusterError, UsageError, WaitTimeoutError
from labctl.ingress.helm_release import HelmRelease, from_json

HELM_VERSION = "v3.17.1"
"""The Helm that is fetched where none is on PATH."""
HELM_SITE = "https://get.helm.sh"
SITE_VARIABLE = "LABCTL_HELM_SITE"
"""Environment variable with another place of Helm's archives, for networks without the internet."""
DESCRIPTION = "labctl"
"""How the description of labctl's own revisions begins: others were made by hand."""


class HelmError(ClusterError):
    """Helm refused, or the cluster did; the message is Helm's own."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Where a chart is: a folder or archive (`path`), else a name in a repository with a version."""

    name: str
    version: str = ""
    repository: str = ""
    path: Path | None = None

    @property
    def arguments(self) -> list[str]:
        """As Helm's command line takes it."""
        if self.path is not None:
            return [str(self.path)]
        version = ["--version", self.version] if self.version else []
        return [self.name, "--repo", self.repository, *version]

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm on one cluster.

    Attributes:
        program: Path of the binary.
        kubeconfig: How the cluster is reached; None for what needs no cluster.
        context: Context in it.
        environ: Its environment.
    """

    program: Path
    environ: Mapping[str, str]
    kubeconfig: Path | None = None
    context: str | None = None

    def install(
        self, release: str, namespace: str, chart: Chart, values: Mapping[str, Any], *, timeout: float, note: str
    ) -> None:
        """Install the release, or upgrade it; hook Jobs are waited for, workloads are not."""
        self._release(release, namespace, chart, values, timeout, "--description", f"{DESCRIPTION}: {note}")

    def preview(
        self, release: str, namespace: str, chart: Chart, values: Mapping[str, Any], *, timeout: float
    ) -> HelmRelease:
        """What `install` would leave; nothing is changed."""
        text = self._release(release, namespace, chart, values, timeout, "--dry-run=server", "-o", "json")
        start = text.find("{")  # a chart's warnings may stand before it
        try:
            return from_json(json.loads(text[start:]))
        except ValueError as error:
            raise HelmError(f"Helm's answer cannot be read: {error}") from error

    def _release(
        self, release: str, namespace: str, chart: Chart, values: Mapping[str, Any], timeout: float, *more: str
    ) -> str:
        command = ["upgrade", "--install", release, *chart.arguments, "-n", namespace, "--create-namespace"]
        command += ["-f", "-", "--timeout", f"{max(1, round(timeout))}s", *more]
        return self.run(command, stdin=json.dumps(values), timeout=timeout)

    def rollback(self, release: str, namespace: str, revision: int, *, timeout: float) -> None:
        """Go back to a revision."""
        self.run(["rollback", release, str(revision), "-n", namespace], timeout=timeout)

    def uninstall(self, release: str, namespace: str, *, timeout: float) -> None:
        """Remove the release with its record."""
        self.run(["uninstall", release, "-n", namespace, "--timeout", f"{max(1, round(timeout))}s"], timeout=timeout)

    def chart_metadata(self, chart: Chart, *, timeout: float) -> dict[str, Any]:
        """`Chart.yaml` of a chart: name, version, appVersion.

        Raises:
            UsageError: A path that is no chart.
            HelmError: The repository does not give it.
        """
        import yaml

        if chart.path is not None and not chart.path.exists():
            raise UsageError(f"{chart.path}: no such chart", hint="--chart takes a folder with a Chart.yaml, or a .tgz")
        try:
            found = yaml.safe_load(self.run(["show", "chart", *chart.arguments], timeout=timeout))
        except HelmError as error:
            if chart.path is None:
                raise
            raise UsageError(
                f"{chart.path} is no chart: {error.message}", hint="--chart takes a folder with a Chart.yaml, or a .tgz"
            ) from error
        return found if isinstance(found, dict) else {}

    def chart_values(self, chart: Chart, *, timeout: float) -> dict[str, Any]:
        """The chart's own values."""
        import yaml

        found = yaml.safe_load(self.run(["show", "values", *chart.arguments], timeout=timeout))
        return found if isinstance(found, dict) else {}

    def run(self, arguments: Sequence[str], *, stdin: str = "", timeout: float) -> str:
        """Run Helm; returns what it prints.

        Raises:
            HelmError: It ended with an error.
            WaitTimeoutError: It did not end.
        """
        cluster = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        cluster += ["--kube-context", self.context] if self.kubeconfig and self.context else []
        try:
            done = subprocess.run(
                [str(self.program), *arguments, *cluster],
                input=stdin,
                capture_output=True,
                check=False,
                text=True,
                env=dict(self.environ),
                timeout=timeout + 30,
            )
        except subprocess.TimeoutExpired as error:
            raise WaitTimeoutError(
                f"helm {arguments[0]} has not ended after {error.timeout:g} s", hint="`labctl ingress status` tells"
            ) from error
        except OSError as error:
            raise HelmError(f"cannot run {self.program}: {error.strerror or error}") from error
        if done.returncode:
            raise HelmError(f"helm {arguments[0]}: {_reason(done.stderr)}")
        return done.stdout


def _reason(stderr: str) -> str:
    """Helm's `Error: …`, without the warnings before it."""
    lines = [line.strip() for line in stderr.strip().splitlines() if line.strip() and not line.startswith("WARNING")]
    start = next((index for index, line in enumerate(lines) if line.startswith("Error: ")), 0)
    return " ".join(lines[start:]).removeprefix("Error: ") or "no reason given"


def find_helm(env: Env) -> Path | None:
    """Helm 3 on PATH, else the one in the cache; None when there is neither."""
    found = shutil.which("helm", path=env.environ.get("PATH"))
    if found and helm_version(Path(found), env).startswith("v3."):
        return Path(found)
    cached = _cached(env)
    return cached if cached.is_file() else None


def helm_version(program: Path, env: Env) -> str:
    """Its version, for example `v3.17.1`; empty when it does not say."""
    command = [str(program), "version", "--template", "{{.Version}}"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=dict(env.environ), timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def have_helm(env: Env, progress: Progress) -> Path:
    """Helm 3, fetched into the cache when it is nowhere; its archive's digest is the one that Helm's site publishes.

    Raises:
        DownloadError: It cannot be had.
        UsageError: There is no Helm for this machine.
    """
    found = find_helm(env)
    if found is not None:
        return found
    target = _cached(env)
    site = env.environ.get(SITE_VARIABLE) or HELM_SITE
    name = f"helm-{HELM_VERSION}-{_platform()}.tar.gz"
    published = fetch_text(f"{site}/{name}.sha256sum", limit=1000)
    digest = re.match(r"[0-9a-f]{64}\b", published)
    if digest is None:
        raise HelmError(f"{site}/{name}.sha256sum holds no SHA-256", hint=f"check {SITE_VARIABLE}")
    archive = target.parent / name
    fetch(f"{site}/{name}", archive, sha256=digest[0], progress=progress, clock=env.clock)
    _unpack(archive, target)
    return target


def _cached(env: Env) -> Path:
    return env.cache_dir / "helm" / HELM_VERSION / "helm"


def _platform() -> str:
    machines = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    machine = machines.get(platform.machine().lower())
    if machine is None:
        raise UsageError(f"labctl fetches no Helm for {platform.machine()}", hint="put helm 3 on PATH")
    return f"{'darwin' if sys.platform == 'darwin' else 'linux'}-{machine}"


def _unpack(archive: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    with tarfile.open(archive) as files:
        member = next((entry for entry in files if entry.isfile() and entry.name.endswith("/helm")), None)
        content = files.extractfile(member) if member is not None else None
        if content is None:
            raise HelmError(f"{archive} holds no helm")
        with partial.open("wb") as out:
            shutil.copyfileobj(content, out)
    partial.chmod(0o755)
    partial.replace(target)
    archive.unlink()
