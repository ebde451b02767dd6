"""Files on a host: written beside their target, checked there, and put in place in one step."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from labctl.ssh.transport import HostError, Stdin, Transport

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
    _put(transport, target, sha256, mode, "cat", _chunks(source, on_progress), timeout)


def download(
    transport: Transport, url: str, target: str, sha256: str, *, mode: int = 0o644, timeout: float = 600.0
) -> None:
    """Let the host fetch a file by itself, with curl or wget, as root; checked and put in place as `upload` does.

    Raises:
        HostError: It could not be fetched or written, or is not what it should be.
    """
    place = shlex.quote(url)
    fetch = (
        f"if command -v curl >/dev/null 2>&1; then curl -fsSL --retry 3 {place}; "
        f"elif command -v wget >/dev/null 2>&1; then wget -qO- {place}; "
        'else echo "there is neither curl nor wget" >&2; exit 66; fi'
    )
    _put(transport, target, sha256, mode, f"{{ {fetch}; }}", b"", timeout)


def _put(transport: Transport, target: str, sha256: str, mode: int, source: str, stdin: Stdin, timeout: float) -> None:
    """Have what a command prints as a file: beside its target first, and under its name only when it is right."""
    done = transport.run(
        f"set -e; t={shlex.quote(target)}; p=$t{PARTIAL}.$$\n"
        + _PUT % {"sha256": sha256, "mode": mode, "source": source},
        stdin=stdin,
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


# A connection that ends takes the output's reader away (SIGPIPE), and a shell that a signal ends runs no EXIT trap.
# The shell's number in the name keeps apart an earlier upload that still waits there for a connection that died.
_PUT = """\
rm -f "$t".labctl-partial.*
trap 'rm -f "$p"' EXIT
trap 'exit 1' HUP INT PIPE TERM
mkdir -p "$(dirname "$t")"
umask 077
%(source)s > "$p"
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
