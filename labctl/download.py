"""Files from the web, verified: resumed where they stopped, tried again, from one mirror after another.

A file appears under its name only when it is whole and has the digest that was asked for; until then it is
`NAME.part` beside it, which a later attempt (of another process too) continues.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from labctl.env import Clock
from labctl.errors import LabctlError
from labctl.waiting import Pending, wait_for

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 16
BUSY_WAIT = 600.0
"""Seconds that another labctl's download of the same file is waited for."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and those there will be (0: the server does not say)."""


class DownloadError(LabctlError):
    """A file could not be had from any of its places, or is not the file that was asked for."""


class _FailedError(Exception):
    """One attempt at one URL failed; `again` tells whether a further attempt there can help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str,
    progress: Progress = lambda done, total: None,
    mirrors: Sequence[str] = (),
    retries: int = 3,
    timeout: float = 30.0,
    clock: Clock | None = None,
) -> bool:
    """Have a file with a known digest; nothing is asked of the network when it is there already.

    Args:
        url: Where it is (http or https; `HTTPS_PROXY` and `SSL_CERT_FILE` are honoured).
        target: Where it is to be; its folders are made.
        sha256: Its digest, in hexadecimal digits.
        progress: Told how far it is.
        mirrors: Other places of the same file, asked in turn when one does not give it.
        retries: Attempts for each place, where trying again can help: connections that break, 429 and 5xx.
        timeout: Seconds that the server may stay silent.
        clock: Time, for the pauses between attempts.

    Returns:
        Whether it was fetched; False when it was there.

    Raises:
        DownloadError: No place gave the file; names each with its reason.
    """
    if digest_of(target) == sha256.lower():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    time = clock or Clock()
    reasons: list[str] = []
    with _part_file(target, time) as part:
        if digest_of(target) == sha256.lower():  # another process has fetched it while this one waited
            return False
        for place in dict.fromkeys((url, *mirrors)):
            reason = _from_place(place, part, sha256.lower(), progress, retries, timeout, time)
            if not reason:
                Path(part.name).replace(target)
                return True
            reasons.append(f"{place}: {reason}")
    raise DownloadError(
        f"cannot download {target.name}: " + "; ".join(reasons),
        hint=f"check the connection (HTTPS_PROXY is honoured), or put the file there by hand: {target}",
    )


def fetch_text(url: str, *, limit: int = 1 << 20, retries: int = 3, timeout: float = 30.0) -> str:
    """The text at a URL: checksums, an index. At most `limit` bytes.

    Raises:
        DownloadError: It cannot be had, or is larger.
    """
    with _http_client(timeout) as client:
        for attempt in range(1, retries + 1):
            try:
                return _text(client, url, limit)
            except _FailedError as error:
                if not error.again or attempt == retries:
                    raise DownloadError(
                        f"cannot read {url}: {error.reason}", hint="check the connection (HTTPS_PROXY is honoured)"
                    ) from error
    raise AssertionError("retries is at least 1")


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError):
        return ""


@contextmanager
def _part_file(target: Path, clock: Clock) -> Iterator[IO[bytes]]:
    """The unfinished file, held by this process alone."""
    path = target.with_name(f"{target.name}.part")

    def observe() -> IO[bytes] | Pending:
        part = path.open("a+b")
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(part.fileno()).st_ino:
                return part
            seen = "another labctl has just finished with it"
        except BlockingIOError:
            seen = f"another labctl is downloading it ({_size(part)} bytes so far)"
        part.close()
        return Pending(seen)

    with wait_for(target.name, observe, timeout=BUSY_WAIT, clock=clock) as part:
        yield part
        if digest_of(target) and path.exists() and not _size(part):
            path.unlink()


def _from_place(
    url: str, part: IO[bytes], sha256: str, progress: Progress, retries: int, timeout: float, clock: Clock
) -> str:
    """Try one place; returns why it does not give the file, or nothing when the part is whole."""
    reason = ""
    with _http_client(timeout) as client:
        for attempt in range(retries):
            if attempt:
                clock.sleep(min(0.5 * 2**attempt, 8.0))
            resumed = _size(part) > 0
            try:
                _receive(client, url, part, progress)
            except _FailedError as error:
                reason = error.reason
                if not error.again:
                    return reason
                continue
            found = digest_of(Path(part.name))
            if found == sha256:
                return ""
            _empty(part)
            reason = f"its SHA-256 is {found}, not {sha256}"
            if not resumed:  # what was continued may have been another file's beginning; what came whole was not
                return reason
    return reason


def _receive(client: httpx.Client, url: str, part: IO[bytes], progress: Progress) -> None:
    import httpx

    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == 416:  # nothing is left to send: it is whole, or too long
                return
            _check(response)
            if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            ):
                have = 0
                _empty(part)
            total = have + int(response.headers.get("Content-Length") or 0)
            for block in response.iter_raw(CHUNK):
                part.write(block)
                have += len(block)
                progress(have, max(total, have))
            part.flush()
            os.fsync(part.fileno())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        part.flush()
        raise _FailedError(_words(error), again=not isinstance(error, httpx.UnsupportedProtocol)) from error
    except OSError as error:
        raise DownloadError(f"cannot write {part.name}: {error.strerror or error}") from error


def _text(client: httpx.Client, url: str, limit: int) -> str:
    import httpx

    data = b""
    try:
        with client.stream("GET", url) as response:
            _check(response)
            for block in response.iter_bytes(CHUNK):
                data += block
                if len(data) > limit:
                    raise _FailedError(f"it is larger than {limit} bytes", again=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _FailedError(_words(error), again=not isinstance(error, httpx.UnsupportedProtocol)) from error
    return data.decode("utf-8", "replace")


def _http_client(timeout: float) -> httpx.Client:
    import httpx

    return httpx.Client(follow_redirects=True, timeout=timeout)


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        status = response.status_code
        again = status == 429 or status >= 500
        raise _FailedError(f"the server answers {status} {response.reason_phrase}".rstrip(), again=again)


def _words(error: Exception) -> str:
    text = str(error).strip()
    return text.partition("] ")[2] or text or type(error).__name__


def _size(part: IO[bytes]) -> int:
    return os.fstat(part.fileno()).st_size


def _empty(part: IO[bytes]) -> None:
    part.truncate(0)
