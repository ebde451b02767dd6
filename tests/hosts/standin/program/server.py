"""`k3s server`."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
from pathlib import Path
from typing import Any

from labctl.embedded.clientset import Change, ChangeType
from labctl.embedded.store import StoreError
from labctl.errors import LabctlError
from labctl.model.inventory import ProxyMode
from labctl.objects.kubeconfig import build
from tests.hosts.standin.program import log, member, node, relay, systemd, tokens
from tests.hosts.standin.program.addons import addons
from tests.hosts.standin.program.cluster import Cluster, ClusterOptions
from tests.hosts.standin.program.datastore import Datastore
from tests.hosts.standin.program.options import Options
from tests.hosts.standin.program.release import VERSION
from tests.hosts.standin.program.supervisor import Supervisor

_SHARED = ("server-ca.crt", "server-ca.key", "client-ca.crt", "client-ca.key", "client-admin.crt", "client-admin.key")


def run(options: Options) -> int:
    """Run until SIGTERM; the exit code.

    Raises:
        FatalError: It cannot start.
    """
    datastore = Datastore.of(options)
    if options.on("cluster-reset"):
        return _reset(options, datastore)
    log.info(f"Starting k3s {VERSION} (stand-in)")
    node.check_cgroups()
    if options.text("server"):
        return member.run(options, datastore)
    asyncio.run(_serve(options, datastore))
    return 0


def _reset(options: Options, datastore: Datastore) -> int:
    path = options.text("cluster-reset-restore-path")
    if path:
        datastore.restore(Path(path))
    log.info(
        "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. "
        "Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes"
    )
    return 0


async def _serve(options: Options, datastore: Datastore) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    password = _password(options, datastore)
    held = node.hold([("0.0.0.0", node.KUBELET_PORT)])
    try:
        cluster = Cluster(_cluster_options(options, datastore))
    except (LabctlError, StoreError) as error:
        raise log.FatalError(f"starting kubernetes: preparing server: {error}") from error
    agent = options.secret("agent-token")
    passwords = {"server": password, "node": tokens.parse(agent).password if agent else password}
    supervisor = Supervisor(cluster, passwords, functools.partial(_bootstrap, cluster, password))
    try:
        await cluster.start(supervisor)
    except OSError as error:
        port = cluster.options.port
        words = (error.strerror or "").lower().rpartition("]: ")[2].rpartition(": ")[2]
        raise log.FatalError(
            "starting kubernetes: preparing server: init cluster datastore and https: "
            f"listen tcp :{port}: bind: {_errno_words(error, words)}"
        ) from error
    pods = await relay.serve(cluster.options.node.address, cluster.dialer)
    cluster.registry.subscribe(functools.partial(_node_deleted, supervisor))
    addons(cluster.registry, options)
    _write_files(cluster, options, passwords)
    log.info("Kube API server is now running")
    log.info("k3s is up and running")
    systemd.ready()
    await stopped.wait()
    pods.close()
    await cluster.stop()
    del held


def _errno_words(error: OSError, words: str) -> str:
    return os.strerror(error.errno).lower() if error.errno else words


def _node_deleted(supervisor: Supervisor, change: Change) -> None:
    if change.resource == "nodes" and change.type is ChangeType.DELETED:
        asyncio.get_running_loop().call_soon(supervisor.forget_password, change.object["metadata"]["name"])


def _password(options: Options, datastore: Datastore) -> str:
    given = options.secret("token")
    stored = datastore.folder / "token"
    if given:
        password = tokens.parse(given).password
    elif stored.exists():
        password = tokens.parse(stored.read_text().strip()).password
    else:
        password = os.urandom(16).hex()
    datastore.check_token(password)
    return password


def _cluster_options(options: Options, datastore: Datastore) -> ClusterOptions:
    datastore.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    first, _, last = options.text("service-node-port-range", "30000-32767").partition("-")
    cidr = options.text("cluster-cidr", "10.42.0.0/16")
    ipvs = "proxy-mode=ipvs" in options.texts("kube-proxy-arg")
    pod_cidr = cidr.rpartition("/")[0] + "/24"
    names = json.loads(_names_file(options).read_text()) if _names_file(options).exists() else []
    return ClusterOptions(
        node=node.spec(options, "server", pod_cidr, etcd=datastore.etcd),
        folder=datastore.folder,
        database=datastore.file,
        names=(*options.texts("tls-san"), *names),
        cluster_cidr=cidr,
        service_cidr=options.text("service-cidr", "10.43.0.0/16"),
        node_ports=(int(first), int(last)),
        proxy_mode=ProxyMode.IPVS if ipvs else ProxyMode.IPTABLES,
        port=int(options.text("https-listen-port", "6443")),
        grace=node.GRACE,
        heartbeat=node.HEARTBEAT,
    )


def _names_file(options: Options) -> Path:
    return options.data / "server/tls/names.json"


def _bootstrap(cluster: Cluster, password: str) -> dict[str, str]:
    """What a further server copies."""
    files = {name: (cluster.pki.directory / name).read_text() for name in _SHARED}
    return {**files, "token": password}


def _write_files(cluster: Cluster, options: Options, passwords: dict[str, str]) -> None:
    folder, ca = cluster.options.folder, cluster.pki.server_ca.certificate_pem
    tokens.write_private(folder / "token", tokens.full(ca, "server", passwords["server"]) + "\n")
    tokens.write_private(folder / "agent-token", tokens.full(ca, "node", passwords["node"]) + "\n")
    link = folder / "node-token"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / "token")
    config = build(
        "default",
        f"https://127.0.0.1:{cluster.options.port}",
        ca,
        cluster.pki.admin.certificate_pem,
        cluster.pki.admin.key_pem,
    )
    write_kubeconfig(options, config)


def write_kubeconfig(options: Options, config: Any) -> None:
    """k3s.yaml, with the mode that was asked for."""
    import yaml

    path = Path(options.text("write-kubeconfig", "/etc/rancher/k3s/k3s.yaml"))
    tokens.write_private(path, yaml.safe_dump(dict(config)))
    path.chmod(int(options.text("write-kubeconfig-mode", "0600"), 8))


def member_kubeconfig(options: Options, files: dict[str, str]) -> None:
    """The same on a further server, from what the first one gave."""
    pems = [files[name].encode() for name in ("server-ca.crt", "client-admin.crt", "client-admin.key")]
    write_kubeconfig(options, build("default", "https://127.0.0.1:6443", *pems))
