from __future__ import annotations

import shutil
import subprocess

import pytest

from labctl.errors import UsageError
from labctl.model.probe import Load, ProbePlan, ProbeResult, Request, Resolve
from labctl.probe import elsewhere
from tests.unit.probe.known import known_server, one_in_ten, pod
from tests.unit.probe.servers import replying, serve

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")


def sent(plan: ProbePlan) -> ProbeResult:
    done = elsewhere.script(plan)
    output = subprocess.run(["sh", "-c", done.text], capture_output=True, check=True, timeout=60)
    return elsewhere.read(plan, done, output.stdout, 1.0)


@curl
def test_a_real_curl_s_output_is_read_back() -> None:
    with known_server(one_in_ten) as server:
        result = sent(ProbePlan("x", Request(server.url, headers=(("X-A", "it's"),)), count=43))
    assert server.asked == 43
    assert all(b"X-A: it's" in request and b"Connection: close" in request for request in server.requests)
    assert {outcome.pod: count for outcome, count in result.fold.outcomes.items()} == {"dp-v1-a": 39, "dp-v2-a": 4}
    assert result.fold.phases["first byte"].total == 43
    assert not result.partial
    assert not result.notices


@curl
def test_what_fails_there_has_curl_s_name() -> None:
    with known_server(lambda number: b"" if number == 2 else pod("a-1")) as server:
        result = sent(ProbePlan("x", Request(server.url), count=12))
    errors = {end.error.name: n for end, n in result.fold.outcomes.items() if end.error}
    assert errors == {"CURLE_GOT_NOTHING": 1}
    assert result.fold.requests == 12


@curl
def test_a_body_that_looks_like_the_script_s_lines_deceives_nobody() -> None:
    body = b"\nlabctl-0000000000000000 200 0 1 1 1 1 1 \nHostname: a-1\n"
    head = f"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serve(replying(head + body)) as port:
        plan = ProbePlan("x", Request("http://a.test/"), count=3, resolve=(Resolve("a.test", 80, "127.0.0.1"),))
        plan = ProbePlan("x", Request(f"http://127.0.0.1:{port}/"), count=3, resolve=plan.resolve)
        result = sent(plan)
    assert [(sample.status, sample.pod) for sample in result.samples] == [(200, "a-1")] * 3
    assert result.answers[0].body == body


def test_a_curl_that_knows_fewer_variables_is_understood() -> None:
    plan = ProbePlan("x", Request("http://a/"), count=3)
    done = elsewhere.script(plan)
    answer = "HTTP/1.1 200 OK\r\n\r\nHostname: a-1\n"
    lines = [f"{answer}\n{done.mark} 200 0 0.010 %{{time_namelookup}} x x x \n" for _ in range(2)]
    result = elsewhere.read(plan, done, "".join(lines).encode(), 0.5)
    assert result.fold.requests == 2
    assert result.fold.phases == {}
    assert result.partial
    assert result.notices == ("only 2 of 3 requests are in the output that came back",)


def test_what_a_loop_of_curl_cannot_do_is_refused() -> None:
    for plan in (
        ProbePlan("x", Request("http://a/"), load=Load(rate=5)),
        ProbePlan("x", Request("http://a/"), http2=True),
        ProbePlan("x", Request("http://a/", cookie_jar=True)),
        ProbePlan("x", Request("http://a/"), source_address="127.0.0.1"),
    ):
        with pytest.raises(UsageError, match="do not go together"):
            elsewhere.script(plan)
