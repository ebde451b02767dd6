from __future__ import annotations

import errno
import re
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.env import Clock
from labctl.errors import LabctlError, UsageError
from labctl.model.probe import Connection, CountBy, KeyKind, ProbePlan, ProbeResult, Request, Resolve
from labctl.probe import descriptors, libcurl, plain
from labctl.probe.engine import run
from labctl.probe.pace import Pace
from labctl.probe.recorder import Recorder
from labctl.probe.target import Address
from tests.unit.probe.servers import Handler, answer, keeping, read_request, replying, serve

Send = Callable[[ProbePlan, Recorder, Pace], None]
both = pytest.mark.parametrize("send", [plain.send, libcurl.send], ids=["plain", "libcurl"])


def send_by(send: Send, plan: ProbePlan) -> ProbeResult:
    recorder = Recorder(plan)
    pace = Pace(time.perf_counter, None, None)
    send(plan, recorder, pace)
    return recorder.result(pace.clock() - pace.begun)


def plan_for(port: int, **changes: object) -> ProbePlan:
    plan = {"name": "x", "request": Request(f"http://127.0.0.1:{port}/"), "count": 1, "concurrency": 1, "timeout": 5.0}
    return ProbePlan(**{**plan, **changes})  # type: ignore[arg-type]  # each test names the fields it is about


def reset_after(data: bytes) -> Handler:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return handle


def silent_after(data: bytes) -> Handler:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)
        connection.recv(1)

    return handle


def open_descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@both
@pytest.mark.parametrize(
    ("handler", "body"),
    [
        (replying(answer(b"Hostname: a-1\n")), b"Hostname: a-1\n"),
        (replying(*(bytes([byte]) for byte in answer(b"abc"))), b"abc"),
        (replying(OK + b"\r\nabc", b"def"), b"abcdef"),
        (replying(b"HTTP/1.0 200 OK\r\n\r\nabc"), b"abc"),
        (replying(b"HTTP/1.1 200\nContent-Length: 3\n\nabc"), b"abc"),
        (replying(CHUNKED + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"), b"abcde"),
        (replying(CHUNKED, *(bytes([byte]) for byte in b"3\r\nabc\r\n0\r\n\r\n")), b"abc"),
        (replying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(b"x")), b"x"),
        (replying(OK + b"Content-Length: 2\r\n\r\nabcdef"), b"ab"),
        (replying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), b"abc"),
    ],
    ids=["whole", "byte by byte", "until close", "HTTP/1.0", "bare newlines", "chunked", "chunked byte by byte",
         "1xx first", "longer than said", "encoded"],
)  # fmt: skip
def test_a_whole_answer_is_taken_as_it_is(send: Send, handler: Handler, body: bytes) -> None:
    with serve(handler) as port:
        result = send_by(send, plan_for(port))
    assert [(sample.status, sample.error) for sample in result.samples] == [(200, None)]
    assert result.answers[0].body == body


@both
@pytest.mark.parametrize(
    ("handler", "code", "words"),
    [
        (replying(), 52, "Empty reply from server"),
        (replying(OK + b"Server: x\r\n"), 52, "Empty reply from server"),
        (reset_after(b""), 56, "Recv failure: Connection reset by peer"),
        (replying(OK + b"Content-Length: 100\r\n\r\nabc"), 18, "end of response with 97 bytes missing"),
        (replying(CHUNKED + b"3\r\nab"), 18, "transfer closed with outstanding read data remaining"),
        (replying(CHUNKED + b"zz\r\nab"), 56, "chunk hex-length char not a hex digit: 0x7a"),
        (replying(CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"), 56, "Malformed encoding found in chunked-encoding"),
        (replying(b"SSH-2.0-OpenSSH_9\r\n"), 1, "Received HTTP/0.9 when not allowed"),
        (replying(b"HTTP/1.1 abc\r\n\r\n"), 1, "Unsupported HTTP/1 subversion in response"),
        (replying(b"HTTP/1.1 099 X\r\n\r\n"), 1, "Unsupported response code in HTTP response"),
        (replying(OK + b"Content-Length: -1\r\n\r\n"), 8, "Invalid Content-Length: value"),
        (replying(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab"), 8, "Invalid Content-Length: value"),
        (replying(OK + b"oops\r\nContent-Length: 0\r\n\r\n"), 8, "Header without colon"),
        (replying(OK, *[b"X: " + b"y" * 60000 + b"\r\n"] * 8), 56, "Too large response headers: # > #"),
    ],
    ids=["closed at once", "closed in the head", "reset", "short body", "chunk cut off", "no chunk size", "chunk overlong",
         "not HTTP", "no status", "status below 100", "negative length", "two lengths", "no colon", "endless headers"],
)  # fmt: skip
def test_what_is_no_answer_is_named_as_curl_names_it(send: Send, handler: Handler, code: int, words: str) -> None:
    with serve(handler) as port:
        (sample,) = send_by(send, plan_for(port)).samples
    assert sample.status == 0
    assert sample.error is not None
    masked = re.sub(r"\d+ > \d+", "# > #", sample.error.message)
    assert (sample.error.code, masked) == (code, words)


@both
@pytest.mark.parametrize("said", [b"", OK + b"Content-Length: 9\r\n\r\nabc"], ids=["nothing", "half"])
def test_a_server_that_falls_silent_is_given_up_after_the_timeout(send: Send, said: bytes) -> None:
    with serve(silent_after(said)) as port:
        (sample,) = send_by(send, plan_for(port, timeout=0.1)).samples
    assert sample.error is not None
    assert sample.error.name == "CURLE_OPERATION_TIMEDOUT"
    assert 0.1 <= sample.elapsed < 1.0


@both
def test_a_port_where_nobody_listens_refuses(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = send_by(send, plan_for(port, count=200, concurrency=8))
    assert {sample.error.name for sample in result.samples if sample.error} == {"CURLE_COULDNT_CONNECT"}
    assert result.fold.requests == 200
    assert len(result.fold.outcomes) == 1, "errors that differ in their times only are one kind"


@both
def test_a_source_address_that_is_not_ours_is_an_interface_error(send: Send) -> None:
    with serve(replying(answer(b"x"))) as port:
        (sample,) = send_by(send, plan_for(port, source_address="192.0.2.1")).samples
    assert sample.error is not None
    assert sample.error.name == "CURLE_INTERFACE_FAILED"


@both
def test_requests_come_from_the_source_address(send: Send) -> None:
    seen: list[str] = []

    def handle(connection: socket.socket) -> None:
        seen.append(connection.getpeername()[0])
        replying(answer(b"x"))(connection)

    with serve(handle) as port:
        send_by(send, plan_for(port, source_address="127.0.0.9"))
    assert seen == ["127.0.0.9"]


@both
def test_a_name_is_reached_where_resolve_says(send: Send) -> None:
    requests: list[bytes] = []

    def reply(request: bytes) -> bytes:
        requests.append(request)
        return answer(b"x")

    with serve(keeping(reply, 1)) as port:
        plan = plan_for(
            port,
            request=Request(f"http://gyull.com:{port}/a/../b?q=1"),
            resolve=(Resolve("gyull.com", port, "127.0.0.1"),),
        )
        result = send_by(send, plan)
    assert [sample.status for sample in result.samples] == [200]
    assert requests[0].startswith(b"GET /a/../b?q=1 HTTP/1.1\r\n")
    assert f"host: gyull.com:{port}\r\n".encode() in requests[0].lower()


@both
def test_both_transports_send_the_same_fields(send: Send) -> None:
    requests: list[bytes] = []

    def reply(request: bytes) -> bytes:
        requests.append(request)
        return answer(b"x")

    headers = (("X-Canary", "always"), ("X-Empty", ""), ("User-Agent", "mine"), ("Host", "other.example"))
    with serve(keeping(reply, 1)) as port:
        request = Request(f"http://127.0.0.1:{port}/", "POST", headers, b"a=1")
        send_by(send, plan_for(port, request=request))
    head, _, body = requests[0].partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    assert line == "POST / HTTP/1.1"
    assert sorted(field.lower() for field in fields) == [
        "accept: */*",
        "connection: close",
        "content-length: 3",
        "host: other.example",
        "user-agent: mine",
        "x-canary: always",
        "x-empty:" if send is libcurl.send else "x-empty: ",
    ]
    assert body == b"a=1"


@both
def test_each_request_has_a_new_connection_by_default(send: Send) -> None:
    peers: list[tuple[str, int]] = []

    def handle(connection: socket.socket) -> None:
        peers.append(connection.getpeername())
        keeping(lambda _: answer(b"x"))(connection)

    with serve(handle) as port:
        result = send_by(send, plan_for(port, count=30, concurrency=4))
    assert len(peers) == 30
    assert {sample.status for sample in result.samples} == {200}
    assert sorted(sample.index for sample in result.samples) == list(range(30))


@both
def test_kept_connections_are_used_again(send: Send) -> None:
    connections: list[int] = []

    def handle(connection: socket.socket) -> None:
        connections.append(1)
        keeping(lambda _: answer(b"x"))(connection)

    with serve(handle) as port:
        result = send_by(send, plan_for(port, count=60, concurrency=3, connection=Connection.KEEP_ALIVE))
    assert len(connections) <= 3
    assert result.fold.requests == 60


@both
def test_a_kept_connection_that_the_server_closes_loses_no_request(send: Send) -> None:
    with serve(keeping(lambda _: answer(b"x"), most=7)) as port:
        result = send_by(send, plan_for(port, count=100, concurrency=2, connection=Connection.KEEP_ALIVE))
    assert [sample.error for sample in result.samples if sample.error] == []
    assert result.fold.requests == 100


@both
def test_redirects_are_answers(send: Send) -> None:
    with serve(replying(answer(b"", status="308 Permanent Redirect", headers=("Location: /",)))) as port:
        result = send_by(send, plan_for(port))
    assert [sample.status for sample in result.samples] == [308]


@both
def test_of_a_large_body_the_first_64_kib_are_looked_at(send: Send) -> None:
    body = b"x" * 300_000 + b"\nHostname: late-1\n"
    with serve(replying(answer(b"Hostname: early-1\n" + body))) as port:
        early = send_by(send, plan_for(port))
    with serve(replying(answer(body))) as port:
        late = send_by(send, plan_for(port))
    assert len(early.answers[0].body) == 64 * 1024
    assert (early.samples[0].pod, late.samples[0].pod) == ("early-1", "")


@both
def test_a_large_request_arrives_whole(send: Send) -> None:
    sizes: list[int] = []

    def handle(connection: socket.socket) -> None:
        data = read_request(connection)
        wanted = data.index(b"\r\n\r\n") + 4 + 5_000_000
        size = len(data)
        while size < wanted:
            size += len(connection.recv(65536))
        sizes.append(size - wanted)
        connection.sendall(answer(b"x"))

    with serve(handle) as port:
        plan = plan_for(port, request=Request(f"http://127.0.0.1:{port}/", "POST", body=b"b" * 5_000_000))
        result = send_by(send, plan)
    assert [sample.status for sample in result.samples] == [200]
    assert sizes == [0]


def test_a_cookie_jar_keeps_the_first_answers_cookie() -> None:
    cookies: list[bytes] = []

    def reply(request: bytes) -> bytes:
        found = re.search(rb"(?i)cookie: ([^\r\n]*)", request)
        cookies.append(found[1] if found else b"")
        return answer(b"x", headers=() if found else (f"Set-Cookie: route={len(cookies)}",))

    with serve(keeping(reply, 1)) as port:
        request = Request(f"http://127.0.0.1:{port}/", cookie_jar=True)
        result = run(plan_for(port, request=request, count=20, concurrency=8))
    assert cookies == [b""] + [b"route=1"] * 19
    assert result.answers[0].headers[0] == ("Set-Cookie", "route=1")


@both
def test_of_several_addresses_one_that_answers_serves(send: Send) -> None:
    with serve(replying(answer(b"x"))) as port:
        where = (Resolve("several.example", port, "127.0.0.2,127.0.0.3,127.0.0.1"),)
        request = Request(f"http://several.example:{port}/")
        result = send_by(send, plan_for(port, request=request, resolve=where, count=20, concurrency=4))
    assert [sample.status for sample in result.samples] == [200] * 20


def test_an_address_that_does_not_answer_at_all_is_left_for_the_next() -> None:
    with socket.socket() as full, serve(replying(answer(b"x"))) as port:
        full.bind(("127.0.0.2", port))
        full.listen(0)
        with socket.create_connection(("127.0.0.2", port)):
            where = (Resolve("several.example", port, "127.0.0.2,127.0.0.1"),)
            plan = plan_for(port, request=Request(f"http://several.example:{port}/"), resolve=where, count=5)
            result = run(plan)
    assert [sample.status for sample in result.samples] == [200] * 5
    assert 0.2 <= result.samples[0].elapsed < 1
    assert result.samples[1].elapsed < 0.2


def test_localhost_is_reached_by_whichever_address_listens() -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with serve(replying(answer(b"x")), family=family) as port:
            addresses = (Resolve("both.example", port, "::1"),) if family is socket.AF_INET6 else ()
            host = "both.example" if addresses else "localhost"
            plan = plan_for(port, request=Request(f"http://{host}:{port}/"), resolve=addresses, count=5)
            result = run(plan)
        assert {sample.status for sample in result.samples} == {200}


def test_a_name_that_does_not_resolve_fails_every_request() -> None:
    result = run(plan_for(80, request=Request("http://nowhere.invalid/"), count=3))
    errors = [sample.error for sample in result.samples]
    assert [(error.code, error.message) for error in errors if error] == [
        (6, "Could not resolve host: nowhere.invalid")
    ] * 3


def test_stop_ends_the_run_with_what_was_done() -> None:
    stop = threading.Event()

    def progress(done: int) -> None:
        if done >= 20:
            stop.set()

    with serve(keeping(lambda _: answer(b"Hostname: a-1\n"), 1)) as port:
        result = run(plan_for(port, count=1_000_000, concurrency=4), on_progress=progress, stop=stop)
    assert result.partial
    assert 20 <= result.fold.requests < 1_000_000


def test_ctrl_c_ends_the_run_with_what_was_done() -> None:
    def progress(done: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with serve(keeping(lambda _: answer(b"Hostname: a-1\n"), 1)) as port:
        plan = plan_for(port, count=100_000, concurrency=4)
        recorder_done: list[int] = []

        def once(done: int) -> None:
            if not recorder_done and done >= 10:
                recorder_done.append(done)
                progress(done)

        result = run(plan, on_progress=once)
    assert result.partial
    assert result.fold.requests >= 10
    assert not any(sample.error for sample in result.samples)


def test_a_silent_server_does_not_keep_stop_waiting() -> None:
    asked = threading.Event()

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        asked.set()
        connection.recv(1)

    with serve(handle) as port:
        begun = time.perf_counter()
        result = run(plan_for(port, timeout=60.0), stop=asked)
    assert time.perf_counter() - begun < 5
    assert result.partial
    assert result.fold.requests == 0


def test_progress_ends_at_the_whole() -> None:
    seen: list[int] = []
    with serve(replying(answer(b"x"))) as port:
        run(plan_for(port, count=12), on_progress=seen.append)
    assert seen[-1] == 12
    assert seen == sorted(seen)


def test_time_is_the_clocks() -> None:
    ticks = iter(range(1_000_000))
    with serve(replying(answer(b"x"))) as port:
        result = run(plan_for(port, timeout=1e9), clock=Clock(monotonic=lambda: float(next(ticks))))
    assert result.elapsed >= result.samples[0].elapsed >= 1


def test_descriptors_that_run_out_lower_the_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    used = len(open_descriptors())
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + descriptors.SPARE + 3, used + descriptors.SPARE + 3))
    fit, notice = descriptors.affordable(100)
    assert 1 <= fit <= 3
    assert f"{fit} requests at once instead of 100" in notice


def test_no_descriptor_at_all_is_said_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (4, 4))
    with pytest.raises(LabctlError) as caught:
        run(plan_for(80))
    assert "ulimit -n" in caught.value.hint


def test_descriptors_that_run_out_on_the_way_are_adapted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    real = plain._Loop._socket

    def scarce(loop: plain._Loop, address: Address) -> socket.socket:
        if len(loop._open) >= 5:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(loop, address)

    monkeypatch.setattr(plain._Loop, "_socket", scarce)
    with serve(keeping(lambda _: answer(b"x"), 1)) as port:
        result = run(plan_for(port, count=200, concurrency=64))
    assert {sample.index for sample in result.samples} == set(range(200))
    assert not any(sample.error for sample in result.samples)
    assert [notice.partition(";")[0] for notice in result.notices] == [
        "out of file descriptors: 5 requests at once instead of 64"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"request": Request("ftp://127.0.0.1/")},
        {"request": Request("http:///x")},
        {"request": Request("http://a:99999/")},
        {"request": Request("http://a/", method="GET /")},
        {"request": Request("http://a/", headers=(("X", "a\r\nInjected: 1"),))},
        {"request": Request("http://a/", headers=(("X Y", "a"),))},
        {"count": 0},
        {"concurrency": 0},
        {"timeout": 0.0},
        {"versions": {"v1": "("}},
        {"by": CountBy(KeyKind.HEADER, "")},
    ],
)
def test_plans_that_cannot_be_sent_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        run(plan_for(80, **changes))


def test_unusual_requests_are_libcurls() -> None:
    assert plain.suits(plan_for(80))
    for request in (
        Request("https://a/"),
        Request("http://user:secret@a/"),
        Request("http://a/", cookie_jar=True),
        Request("http://a/ü"),
        Request("http://a/", headers=(("Expect", "100-continue"),)),
    ):
        assert not plain.suits(plan_for(80, request=request))


def test_the_system_s_certificates_are_a_file_or_nothing() -> None:
    found = libcurl.system_ca_file()
    assert found is None or Path(found).is_file()
