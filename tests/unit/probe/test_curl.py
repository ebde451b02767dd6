from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from labctl.model.probe import ProbePlan, Request, Resolve, Tls
from labctl.probe.curl import curl_command
from tests.unit.probe.servers import answer, keeping, serve


@pytest.mark.parametrize(
    ("plan", "command"),
    [
        (ProbePlan("x", Request("http://127.0.10.10:30080/admin")), "curl -i http://127.0.10.10:30080/admin"),
        (
            ProbePlan("x", Request("http://gyull.com:30080/"), resolve=(Resolve("gyull.com", 30080, "127.0.10.10"),)),
            "curl -i --resolve gyull.com:30080:127.0.10.10 http://gyull.com:30080/",
        ),
        (
            ProbePlan("x", Request("https://gyull.com:30443/"), tls=Tls(ca_file=Path("/a dir/ca.pem"))),
            "curl -i --cacert '/a dir/ca.pem' https://gyull.com:30443/",
        ),
        (ProbePlan("x", Request("https://a/"), tls=Tls(verify=False)), "curl -i -k https://a/"),
        (ProbePlan("x", Request("http://a/"), tls=Tls(verify=False)), "curl -i http://a/"),
        (ProbePlan("x", Request("http://a/", "HEAD")), "curl -i --head http://a/"),
        (ProbePlan("x", Request("http://a/", "DELETE")), "curl -i -X DELETE http://a/"),
        (ProbePlan("x", Request("http://a/b/../c?d=../e")), "curl -i --path-as-is 'http://a/b/../c?d=../e'"),
        (
            ProbePlan(
                "x", Request("http://a/", headers=(("X-Canary", "it's"), ("X-None", ""))), source_address="127.0.0.9"
            ),
            """curl -i -H 'X-Canary: it'"'"'s' -H 'X-None;' --interface 127.0.0.9 http://a/""",
        ),
        (
            ProbePlan("x", Request("http://a/", cookie_jar=True)),
            "curl -i -b cookies.txt -c cookies.txt http://a/",
        ),
    ],
)
def test_the_command_line_sends_the_plan_s_request(plan: ProbePlan, command: str) -> None:
    assert curl_command(plan) == command


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_itself_understands_it() -> None:
    requests: list[bytes] = []

    def reply(request: bytes) -> bytes:
        requests.append(request)
        return answer(b"seen")

    with serve(keeping(reply, 1)) as port:
        request = Request(
            f"http://gyull.com:{port}/a/./b",
            "PUT",
            (("X-Canary", 'al"ways'), ("X-None", "")),
            json.dumps({"a": 1}).encode(),
        )
        plan = ProbePlan("x", request, resolve=(Resolve("gyull.com", port, "127.0.0.1"),))
        done = subprocess.run([*shlex.split(curl_command(plan)), "-sS"], capture_output=True, text=True, timeout=20)
    assert done.stdout.endswith("seen"), done.stderr
    head, _, body = requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PUT /a/./b HTTP/1.1"
    assert {'X-Canary: al"ways', "X-None:", f"Host: gyull.com:{port}"} <= set(lines)
    assert not any(line.lower().startswith("content-type") for line in lines)
    assert body == b'{"a": 1}'
