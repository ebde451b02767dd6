"""Files on a host: written beside their target, checked there, and put in place in one step."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from labctl.ssh.transport import HostError, Transport

CHUNK = 1 << 20
PARTIAL = ".labctl-partial"
"""Suffix of what is being uploaded; a file without it is whole."""


def upload(
    transport: Transport,
    source: Path,
    target: str,
    sha256: str,
    *,
    mode: int = 0o644,
    timeout: float = 600.0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Put a local file on the host as root.

    The bytes go into a file beside the target, in the same file system; its sum is compared there, and only then it
    takes the target's name. A running program keeps the file it was started from.

    Args:
        transport: The host.
        source: The local file.
        target: Absolute path there.
        sha256: Its sum, in hexadecimal.
        mode: Permissions.
        timeout: Seconds for all of it.
        on_progress: Told the bytes sent so far.

    Raises:
        HostError: It could not be written (the message is the host's own), or what arrived is not what was sent.
    """
    done = transport.run(
        f"set -e; t={shlex.quote(target)}; p=$t{PARTIAL}\n" + _UPLOAD % {"sha256": sha256, "mode": mode},
        stdin=_chunks(source, on_progress),
        sudo=True,
        timeout=timeout,
    )
    if done.exit_status == 0:
        return
    if done.exit_status == 65:
        raise HostError(
            transport.host,
            f"{target} did not arrive as it was sent: its sha256 is {done.text.strip() or 'unknown'}, not {sha256}",
            hint="run the same command again; if it happens again, the disk or the network of that host is at fault",
        )
    words = done.error_text.splitlines()[-1] if done.error_text else f"exit status {done.exit_status}"
    raise HostError(transport.host, f"cannot write {target}: {words}", hint=write_hint(words))


_UPLOAD = """\
trap 'rm -f "$p"' EXIT
mkdir -p "$(dirname "$t")"
umask 077
cat > "$p"
got=$(sha256sum "$p"); got=${got%%%% *}
[ "$got" = %(sha256)s ] || { echo "$got"; exit 65; }
chmod %(mode)o "$p"
if command -v restorecon >/dev/null 2>&1; then restorecon "$p" || true; fi
mv -f "$p" "$t"
"""


def _chunks(source: Path, on_progress: Callable[[int], None]) -> Iterator[bytes]:
    sent = 0
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
            sent += len(chunk)
            on_progress(sent)


def write_hint(words: str) -> str:
    """What to do about a host's own message."""
    lower = words.lower()
    for part, hint in (
        ("no space left", "make room on that host's disk, then run the same command again"),
        ("read-only file system", "that file system is mounted read-only: remount it, or choose another place"),
        ("permission denied", "is the user root there, or allowed to use sudo?"),
    ):
        if part in lower:
            return hint
    return ""
