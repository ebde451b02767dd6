"""Downloads against a server that breaks off, lies and refuses."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from labctl.download import DownloadError, fetch, fetch_text
from labctl.env import Clock

CONTENT = bytes(range(256)) * 2048
SHA = hashlib.sha256(CONTENT).hexdigest()
NO_PAUSES = Clock(sleep=lambda seconds: None)


class Server(BaseHTTPRequestHandler):
    """`/whole`, `/ranged` (honours Range), `/breaks` (ends in the middle, every other time), `/busy` (503 once), `/other`."""

    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.seen.append((self.path, wanted))
        times = sum(path == self.path for path, _ in self.seen)
        match self.path:
            case "/whole":
                self.give(CONTENT)
            case "/ranged" | "/breaks":
                start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
                rest = CONTENT[start:]
                cut = len(rest) // 2 if self.path == "/breaks" and times == 1 else len(rest)
                if start >= len(CONTENT):
                    self.send_error(416)
                    return
                self.give(rest, start, cut)
            case "/busy" if times > 1:
                self.give(CONTENT)
            case "/busy":
                self.send_error(503)
            case "/other":
                self.give(b"not what was asked for")
            case _:
                self.send_error(404)

    def give(self, body: bytes, start: int = 0, cut: int | None = None) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    Server.seen.clear()
    with _serving() as url:
        yield url


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_is_fetched_once(base: str, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "file"
    seen: list[tuple[int, int]] = []
    assert fetch(f"{base}/whole", target, sha256=SHA, progress=lambda *at: seen.append(at))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not fetch(f"{base}/whole", target, sha256=SHA)
    assert len(Server.seen) == 1
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_what_is_there_is_not_sent_again(base: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert fetch(f"{base}/ranged", tmp_path / "file", sha256=SHA)
    assert Server.seen == [("/ranged", "bytes=1000-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_whole_part_is_only_checked(base: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(f"{base}/ranged", tmp_path / "file", sha256=SHA)


def test_a_connection_that_breaks_is_continued(base: str, tmp_path: Path) -> None:
    assert fetch(f"{base}/breaks", tmp_path / "file", sha256=SHA, clock=NO_PAUSES)
    assert Server.seen == [("/breaks", ""), ("/breaks", f"bytes={len(CONTENT) // 2}-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(base: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    assert fetch(f"{base}/whole", tmp_path / "file", sha256=SHA, clock=NO_PAUSES)


def test_a_wrong_beginning_is_thrown_away(base: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    assert fetch(f"{base}/ranged", tmp_path / "file", sha256=SHA, clock=NO_PAUSES)
    assert [wanted for _, wanted in Server.seen] == ["bytes=1000-", ""]


def test_a_busy_server_is_asked_again(base: str, tmp_path: Path) -> None:
    assert fetch(f"{base}/busy", tmp_path / "file", sha256=SHA, clock=NO_PAUSES)


def test_mirrors_are_asked_in_turn(base: str, tmp_path: Path) -> None:
    mirrors = [f"{base}/other", f"{base}/whole"]
    assert fetch(f"{base}/gone", tmp_path / "file", sha256=SHA, mirrors=mirrors, clock=NO_PAUSES)
    assert [path for path, _ in Server.seen] == ["/gone", "/other", "/whole"]


def test_a_wrong_file_never_appears(base: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(f"{base}/other", tmp_path / "file", sha256=SHA, mirrors=[f"{base}/gone"], clock=NO_PAUSES)
    assert "SHA-256" in caught.value.message
    assert "404" in caught.value.message
    assert str(tmp_path / "file") in caught.value.hint
    assert not (tmp_path / "file").exists()


def test_no_connection_is_said(tmp_path: Path) -> None:
    with _serving() as url:
        pass
    with pytest.raises(DownloadError, match="Connection refused"):
        fetch(f"{url}/whole", tmp_path / "file", sha256=SHA, clock=NO_PAUSES)
    with pytest.raises(DownloadError, match="Connection refused"):
        fetch_text(f"{url}/whole")


def test_text_has_a_limit(base: str) -> None:
    assert fetch_text(f"{base}/other") == "not what was asked for"
    with pytest.raises(DownloadError, match="larger"):
        fetch_text(f"{base}/whole", limit=100)
    with pytest.raises(DownloadError, match="404"):
        fetch_text(f"{base}/gone")
