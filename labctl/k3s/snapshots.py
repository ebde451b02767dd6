"""Snapshots of a cluster's datastore: etcd's own with several servers, a copy of the file with SQLite.

Source: k3s docs, "Backup and Restore": etcd-snapshot and --cluster-reset; for SQLite, `server/db` and the token.
"""

from __future__ import annotations

import json
import re
import shlex

from labctl.errors import UsageError
from labctl.k3s import layout
from labctl.k3s.change import run_script
from labctl.k3s.facts import Facts
from labctl.model.cluster import Snapshot
from labctl.ssh.transport import HostError, Transport

FOLDER = f"{layout.SERVER_DATA}/db/snapshots"
COPIES = "/var/lib/rancher/labctl-snapshots"
"""Where copies of SQLite's file are kept: beside k3s's own folder, so that they outlive it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def save(transport: Transport, facts: Facts, name: str, *, timeout: float) -> Snapshot:
    """Make a snapshot on a server.

    SQLite's file is copied while k3s is stopped, which takes a moment: pods go on, the API does not answer.

    Raises:
        UsageError: The name is not fit for a file, or taken.
        HostError: The host refuses.
    """
    check_name(name)
    if any(snapshot.name == name for snapshot in listing(transport, facts)):
        raise UsageError(f"{transport.host} has a snapshot {name!r} already", hint="`labctl snapshot list` shows them")
    if facts.value("etcd"):
        run_script(
            transport,
            f"{layout.BINARY} etcd-snapshot save --name {shlex.quote(name)} >&2\n",
            "saving the snapshot",
            timeout=timeout,
        )
    else:
        run_script(transport, _COPY % {"target": f"{COPIES}/{name}.tar"}, "copying the datastore", timeout=timeout)
    found = [item for item in listing(transport, facts) if item.name == name or item.name.startswith(f"{name}-")]
    if not found:
        raise HostError(transport.host, f"the snapshot {name!r} was made, but is not to be found in {FOLDER}")
    return max(found, key=lambda item: item.created)


_COPY = f"""\
set -e
umask 077
mkdir -p {COPIES}
[ -f {layout.SERVER_DATA}/db/state.db ] || {{ echo "there is no {layout.SERVER_DATA}/db/state.db" >&2; exit 1; }}
systemctl stop k3s.service
trap 'systemctl start --no-block k3s.service' EXIT
tar -C {layout.SERVER_DATA} -cf %(target)s.labctl-partial --exclude db/snapshots db token
mv -f %(target)s.labctl-partial %(target)s
"""


def check_name(name: str) -> None:
    """Raises UsageError unless it can be a file's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a snapshot", hint="letters, digits, '.', '_' and '-'")


def listing(transport: Transport, facts: Facts) -> tuple[Snapshot, ...]:
    """The snapshots on a host, oldest first."""
    folder = FOLDER if facts.value("etcd") else COPIES
    text = run_script(
        transport,
        f"for f in {folder}/*; do\n"
        '  case $f in *.labctl-partial | *"*") continue ;; esac\n'
        '  printf \'{"path":"%s","size":%s,"created":"%s"}\\n\' "$f" "$(stat -c %s "$f")" '
        '"$(date -u -d "@$(stat -c %Y "$f")" +%Y-%m-%dT%H:%M:%SZ)"\n'
        "done\n",
        "listing snapshots",
    )
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    snapshots = [
        Snapshot(_name_of(item["path"]), transport.host, item["path"], item["size"], item["created"]) for item in found
    ]
    return tuple(sorted(snapshots, key=lambda snapshot: snapshot.created))


def _name_of(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".tar")


def restore_here(transport: Transport, facts: Facts, snapshot: Snapshot, *, timeout: float) -> None:
    """Put a server's datastore back to a snapshot. k3s is stopped before, and is not started again here.

    With etcd the cluster has this one member afterwards; the other servers must forget their data and join again.

    Raises:
        HostError: The host refuses; its datastore is then as `k3s --cluster-reset` left it.
    """
    if facts.value("etcd"):
        script = (
            "systemctl stop k3s.service\n"
            f"{layout.BINARY} server --cluster-reset --cluster-reset-restore-path={shlex.quote(snapshot.path)} >&2\n"
        )
    else:
        script = (
            "set -e\nsystemctl stop k3s.service\n"
            f"new={layout.SERVER_DATA}/db.labctl-partial\nrm -rf $new; mkdir -m 700 $new\n"
            f"tar -C $new -xf {shlex.quote(snapshot.path)}\n"
            f"old={layout.SERVER_DATA}/db.labctl-before\nrm -rf $old; mv {layout.SERVER_DATA}/db $old\n"
            f"mv $new/db {layout.SERVER_DATA}/db\nrm -rf $new $old\n"
        )
    run_script(transport, script, f"restoring {snapshot.name}", timeout=timeout)


def forget_data(transport: Transport) -> None:
    """Stop a further server and remove its copy of etcd's data: it gets the restored one when it joins again."""
    run_script(
        transport,
        f"systemctl stop k3s.service; rm -rf {layout.SERVER_DATA}/db\n",
        "forgetting the old data",
    )
