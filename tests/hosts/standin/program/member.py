"""A further server (`server:` in its configuration): it joins as a node, and passes its API port on to the first one."""

from __future__ import annotations

import asyncio
import json
import signal

from tests.hosts.standin.program import agent, log, node, relay, systemd, tokens
from tests.hosts.standin.program.client import Server, basic
from tests.hosts.standin.program.datastore import Datastore
from tests.hosts.standin.program.options import Options


def run(options: Options, datastore: Datastore) -> int:
    """Run until SIGTERM; the exit code."""
    if not options.secret("token"):
        raise log.FatalError("starting kubernetes: preparing server: token is required to join a cluster")
    tokens.node_password()
    held = node.hold([("0.0.0.0", node.KUBELET_PORT)])
    asyncio.run(_serve(options, datastore))
    del held
    return 0


async def _serve(options: Options, datastore: Datastore) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    work = asyncio.create_task(_work(options, datastore))
    await asyncio.wait({work, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()


async def _work(options: Options, datastore: Datastore) -> None:
    from tests.hosts.standin.program.server import member_kubeconfig

    server = await agent.join(options)
    token = tokens.parse(options.secret("token"))
    ca = (agent.agent_folder(options) / "server-ca.crt").read_text()

    def bootstrap() -> dict[str, str]:
        content, _ = Server(server.url, ca).request(
            "GET", "/v1-k3s/server-bootstrap", b"", basic("server", token.password)
        )
        found: dict[str, str] = json.loads(content)
        return found

    files = await agent.repeat("Failed to get bootstrap data", bootstrap, 2.0)
    datastore.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (name for name in files if name != "token"):
        tokens.write_private(datastore.folder / "tls" / name, files[name])
    tokens.write_private(datastore.folder / "token", tokens.full(ca.encode(), "server", files["token"]) + "\n")
    link = datastore.folder / "node-token"
    link.unlink(missing_ok=True)
    link.symlink_to(datastore.folder / "token")
    try:
        await relay.tcp("0.0.0.0", int(options.text("https-listen-port", "6443")), (server.host, server.port))
    except OSError as error:
        raise log.FatalError(
            "starting kubernetes: preparing server: init cluster datastore and https: listen tcp :6443: bind: "
            "address already in use"
        ) from error
    joined = agent.Joined(node.spec(options, "server", etcd=datastore.etcd), server)
    await agent.repeat("Failed to register node", joined.register)
    member_kubeconfig(options, files)
    systemd.ready()
    log.info("k3s is up and running")
    await asyncio.gather(joined.live(), joined.relay_ports())
