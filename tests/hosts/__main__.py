"""`python -m tests.hosts`: the test hosts from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.hosts import prerequisites
from tests.hosts.bed import STUDY, Bed


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit code."""
    options = _parser().parse_args(arguments)
    if options.verb == "artifacts":
        from tests.hosts.standin import build

        for path in build.artifacts(options.directory, options.version):
            print(path)
        return 0
    bed = Bed(options.bed)
    if options.verb in ("exec", "client"):
        command = bed.host(options.host).command(*options.command) if options.verb == "exec" else None
        words = command or bed.client(*options.command)
        os.execvp(words[0], words)
    return _VERBS[options.verb](bed, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--bed", default=os.environ.get("LABCTL_TEST_BED", "0"), help="which bed: any short name")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="make the hosts afresh, and boot them")
    up.add_argument("--count", type=int, default=len(STUDY), help="how many hosts")
    verbs.add_parser("install", help="install what hosts need, where that can be done")
    verbs.add_parser("down", help="remove the hosts")
    verbs.add_parser("status", help="list the hosts")
    run = verbs.add_parser("exec", help="run a command in a host, as root")
    run.add_argument("host")
    run.add_argument("command", nargs=argparse.REMAINDER)
    client = verbs.add_parser("client", help="run a command here, in the hosts' network")
    client.add_argument("command", nargs=argparse.REMAINDER)
    artifacts = verbs.add_parser("artifacts", help="write the stand-in k3s as a release names its files")
    artifacts.add_argument("directory", type=Path)
    artifacts.add_argument("--version", default="v1.30.14+k3s1")
    return parser


def _install(bed: Bed, options: argparse.Namespace) -> int:
    prerequisites.install(_say)
    return 0


def _up(bed: Bed, options: argparse.Namespace) -> int:
    prerequisites.install(_say)
    reason = prerequisites.missing()
    if reason:
        _say(reason)
        return 1
    with bed.locked():
        bed.up(options.count, _say)
    return _status(bed, options)


def _down(bed: Bed, options: argparse.Namespace) -> int:
    with bed.locked():
        bed.down()
    return 0


def _status(bed: Bed, options: argparse.Namespace) -> int:
    hosts = bed.hosts()
    for host in hosts.values():
        state = f"running, process {host.pid}" if host.running else "off"
        print(f"{host.name:8} {host.address:16} {state}")
    if hosts:
        print(f"key: {bed.key} (root, ubuntu, student)\nknown_hosts: {bed.known_hosts}")
    else:
        print(f"bed {bed.name} is not up")
    return 0 if hosts else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_VERBS = {"install": _install, "up": _up, "down": _down, "status": _status}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
