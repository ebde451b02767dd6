"""The script that carries out a host's small changes: every file whole or not there, all in one round trip."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable

from labctl.k3s import layout
from labctl.k3s.plan import Action, Delete, Link, NodePlan, Write
from labctl.ssh.files import PARTIAL, write_hint
from labctl.ssh.transport import HostError, Transport

_HEAD = f"""\
set -e
export PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
umask 077
partial=''
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT PIPE TERM
folder() {{ (umask 022; mkdir -p "$1"); }}
put() {{
  folder "$(dirname "$2")"
  partial=$2{PARTIAL}
  base64 -d > "$partial"
  chmod "$1" "$partial"
  if command -v restorecon >/dev/null 2>&1; then restorecon "$partial" || true; fi
  mv -f "$partial" "$2"
}}
"""


def change_script(plan: NodePlan) -> str:
    """The script for a host's files and links, and the marks that let an interrupted run be finished.

    Contents are part of the script, which is read from standard input: they are in no argument list.
    """
    lines = [_HEAD, _remember()]
    if plan.start is not None:
        lines.append(f"folder {shlex.quote(layout.CONFIG.rpartition('/')[0])}; : > {layout.PENDING}\n")
    lines += [_line(action) for action in plan.actions]
    if plan.start is not None:
        lines.append("systemctl daemon-reload\n")
        lines.append(f"systemctl enable --quiet {plan.start.unit}.service\n")
    return "".join(lines)


def _remember() -> str:
    """Note which of k3s's folders were there before, once: they are not removed by `down`."""
    checks = " ".join(shlex.quote(path) for path in layout.TRACES)
    return (
        f"if [ ! -f {layout.BEFORE} ]; then\n"
        f'  found=$(for t in {checks}; do if [ -e "$t" ]; then echo "$t"; fi; done)\n'
        f"  folder {layout.BEFORE.rpartition('/')[0]}\n"
        f"  printf '%s\\n' \"$found\" > {layout.BEFORE}{PARTIAL}; mv -f {layout.BEFORE}{PARTIAL} {layout.BEFORE}\n"
        "fi\n"
    )


def _line(action: Action) -> str:
    match action:
        case Write():
            content = base64.b64encode(action.content.encode()).decode()
            return f"put {action.mode:o} {shlex.quote(action.path)} <<'END'\n{content}\nEND\n"
        case Link():
            return f"ln -sfn {shlex.quote(action.target)} {shlex.quote(action.path)}\n"
        case Delete():
            return f"rm -f {shlex.quote(action.path)}\n"
        case _:
            return ""


def run_script(transport: Transport, script: str, doing: str, *, timeout: float = 60.0) -> str:
    """Run a script as root; returns what it prints.

    Raises:
        HostError: It failed; the message is its own last words.
    """
    done = transport.run("exec /bin/sh -s", stdin=script.encode(), sudo=True, timeout=timeout)
    if done.exit_status != 0:
        words = last_line(done.error_text.splitlines()) or f"exit status {done.exit_status}"
        raise HostError(transport.host, f"{doing} failed: {words}", hint=write_hint(words))
    return done.text


def last_line(lines: Iterable[str]) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(list(lines)) if line.strip()), "")
