"""k3s's command line, as far as labctl and people looking over its shoulder use it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.hosts.standin.program import log, options, systemd
from tests.hosts.standin.program.datastore import Datastore
from tests.hosts.standin.program.release import VERSION


def main(name: str, arguments: Sequence[str]) -> int:
    """Run a command; the exit code.

    Args:
        name: What the program was called as: `k3s`, or a tool that it contains.
        arguments: The rest of the command line.
    """
    command, *rest = [name, *arguments] if name in ("kubectl", "crictl", "ctr") else arguments or ["--help"]
    try:
        return _COMMANDS.get(command, _unknown)(rest)
    except log.FatalError as error:
        log.write("fatal", str(error))
        return 1


def _server(arguments: Sequence[str]) -> int:
    from tests.hosts.standin.program import server

    systemd.named("k3s-server")
    return server.run(options.load("server", arguments))


def _agent(arguments: Sequence[str]) -> int:
    from tests.hosts.standin.program import agent

    systemd.named("k3s-agent")
    return agent.run(options.load("agent", arguments))


def _kubectl(arguments: Sequence[str]) -> int:
    """Enough to see that the program runs and the API answers."""
    if list(arguments[:1]) == ["version"]:
        print(f"Client Version: {VERSION}\nKustomize Version: v5.0.4")
        return 0
    if list(arguments[:2]) == ["get", "--raw"] and len(arguments) == 3:
        return _raw(arguments[2])
    print("the stand-in's kubectl knows `version` and `get --raw PATH`", file=sys.stderr)
    return 1


def _raw(path: str) -> int:
    import base64
    import tempfile

    import yaml

    from tests.hosts.standin.program.client import RequestError, Server

    try:
        config = yaml.safe_load(Path("/etc/rancher/k3s/k3s.yaml").read_text())
    except OSError as error:
        print(f"error: error loading config file: {error}", file=sys.stderr)
        return 1
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "crt", Path(folder) / "key"
        for target, name in zip(pair, ("client-certificate-data", "client-key-data"), strict=True):
            target.write_bytes(base64.b64decode(user[name]))
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        try:
            content, _ = Server(cluster["server"], ca, pair).request("GET", path)
        except RequestError as error:
            print(f"Error from server: {error}", file=sys.stderr)
            return 1
    print(content.decode(), end="")
    return 0


def _token(arguments: Sequence[str]) -> int:
    if list(arguments[:1]) != ["create"]:
        raise log.FatalError("the stand-in's token knows `create`")
    print(Path("/var/lib/rancher/k3s/server/agent-token").read_text().strip())
    return 0


def _etcd_snapshot(arguments: Sequence[str]) -> int:
    verb = arguments[0] if arguments and not arguments[0].startswith("-") else "save"
    given = options.load("server", [])
    store = Datastore.of(given)
    words = [word for word in arguments if word != verb]
    if verb == "save":
        name = words[words.index("--name") + 1] if "--name" in words else "on-demand"
        path = store.save(name, given.node_name)
        log.info(f"Snapshot {path.name} saved.")
    elif verb in ("ls", "list"):
        print("Name Location Size Created")
        for path in sorted(store.snapshots.glob("[!.]*")):
            print(path.name, f"file://{path}", path.stat().st_size, int(path.stat().st_mtime))
    elif verb in ("delete", "rm"):
        for name in words:
            (store.snapshots / Path(name).name).unlink(missing_ok=True)
            log.info(f"Snapshot {name} deleted.")
    else:
        raise log.FatalError(f"the stand-in's etcd-snapshot does not know {verb}")
    return 0


def _check_config(arguments: Sequence[str]) -> int:
    print("\nVerifying binaries in /var/lib/rancher/k3s/data/current/bin:\n- stand-in: nothing to verify")
    print("\nSTATUS: pass")
    return 0


def _secrets_encrypt(arguments: Sequence[str]) -> int:
    print("Encryption Status: Disabled, no configuration file found")
    return 0


def _runtime(arguments: Sequence[str]) -> int:
    print("the stand-in has no container runtime: its pods run inside the server's process", file=sys.stderr)
    return 1


def _help(arguments: Sequence[str]) -> int:
    print("NAME:\n   k3s - Kubernetes, but small and simple (a test double of it)\n\nCOMMANDS:")
    print("\n".join(f"   {name}" for name in _COMMANDS if not name.startswith("-")))
    return 0


def _unknown(arguments: Sequence[str]) -> int:
    print(f"No help topic for '{' '.join(arguments)}'", file=sys.stderr)
    return 3


_COMMANDS = {
    "server": _server,
    "agent": _agent,
    "kubectl": _kubectl,
    "crictl": _runtime,
    "ctr": _runtime,
    "token": _token,
    "etcd-snapshot": _etcd_snapshot,
    "check-config": _check_config,
    "secrets-encrypt": _secrets_encrypt,
    "--help": _help,
    "-h": _help,
}
