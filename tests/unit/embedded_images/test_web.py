from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from labctl.embedded.cri import ContainerContext
from labctl.embedded.http.messages import App, Flow, Request, Response
from tests.unit.embedded_images.fakes import app_of, catalogue, context, get, text_of

STUDY_ECHO = """

Hostname: web-1

Pod Information:
\t-no pod information available-

Server values:
\tserver_version=nginx: 1.13.0 - lua: 10008

Request Information:
\tclient_address=172.16.0.7
\tmethod=GET
\treal path=/admin
\tquery=
\trequest_version=1.1
\trequest_uri=http://3.35.217.39:8080/admin

Request Headers:
\taccept=*/*
\thost=3.35.217.39:30080
\tuser-agent=curl/7.79.1
\tx-forwarded-for=175.116.31.155

Request Body:
\t-no body in request-

"""


def serving(image: str, port: int, check: Callable[[App, ContainerContext], None], **options: object) -> None:
    """Start a container, check its application, stop it."""

    async def main() -> None:
        made = context(image, **options)  # type: ignore[arg-type]  # options of `context`
        container = catalogue().pull(image).content.image.start(made)
        check(app_of(made, port), made)
        container.stop(1)
        assert await container.exited == 0
        assert made.network.port_at(made.pod_ip, port) is None

    asyncio.run(main())


def test_echoserver_answers_in_the_form_of_the_study() -> None:
    def check(app: App, made: ContainerContext) -> None:
        answer = get(app, "/admin", [("X-Forwarded-For", "175.116.31.155")])
        assert answer.status == 200
        assert ("Server", "echoserver") in answer.headers
        assert text_of(answer) == STUDY_ECHO

    serving("registry.k8s.io/echoserver:1.5", 8080, check)


@pytest.mark.parametrize(
    ("image", "version"),
    [("k8s.gcr.io/echoserver:1.5", "1.13.0"), ("gcr.io/google_containers/echoserver:1.6", "1.13.1")],
)
def test_echoserver_reports_the_nginx_of_its_tag(image: str, version: str) -> None:
    serving(
        image, 8080, lambda app, made: _contains(text_of(get(app)), f"\tserver_version=nginx: {version} - lua: 10008\n")
    )


def _contains(text: str, part: str) -> None:
    assert part in text


def test_echoserver_shows_query_body_and_repeated_fields() -> None:
    def check(app: App, made: ContainerContext) -> None:
        answer = text_of(get(app, "/a/b?x=1&y=2", [("B", "2"), ("b", "1")], "POST", b"hello"))
        assert "\tmethod=POST\n\treal path=/a/b?x=1&y=2\n\tquery=x=1&y=2\n" in answer
        assert "\taccept=*/*\n\tb=2\n\tb=1\n\thost=" in answer
        assert answer.endswith("\nRequest Body:\nhello\n\n")

    serving("registry.k8s.io/echoserver:1.5", 8080, check)


def test_echoserver_tells_of_its_pod_when_the_environment_does() -> None:
    env = {"NODE_NAME": "n", "POD_NAME": "p", "POD_NAMESPACE": "ns", "POD_IP": "1.2.3.4"}
    wanted = "\tnode name:\tn\n\tpod name:\tp\n\tpod namespace:\tns\n\tpod IP:\t1.2.3.4\n"
    serving("registry.k8s.io/echoserver:1.6", 8080, lambda app, made: _contains(text_of(get(app)), wanted), env=env)


def test_bootcamp_says_in_which_pod_it_runs() -> None:
    serving(
        "gcr.io/google-samples/kubernetes-bootcamp:v2",
        8080,
        lambda app, made: _contains(text_of(get(app)), "Hello Kubernetes bootcamp! | Running on: web-1 | v=2\n"),
    )


def test_nginx_serves_the_welcome_page_with_its_fields() -> None:
    def check(app: App, made: ContainerContext) -> None:
        answer = get(app)
        assert answer.status == 200
        assert len(text_of(answer)) == 615
        assert answer.headers == [
            ("Server", "nginx/1.27.5"),
            ("Content-Type", "text/html"),
            ("Last-Modified", "Wed, 16 Apr 2025 12:01:11 GMT"),
            ("ETag", '"67ff9c07-267"'),
            ("Accept-Ranges", "bytes"),
        ]
        head = get(app, method="HEAD")
        assert head.body == b""
        assert ("Content-Length", "615") in head.headers

    serving("nginx", 80, check)


def test_nginx_answers_404_405_and_redirects_to_directories() -> None:
    def check(app: App, made: ContainerContext) -> None:
        missing = get(app, "/nosuch")
        assert missing.status == 404
        assert len(text_of(missing)) == 153
        assert "<hr><center>nginx/1.25.5</center>\r\n" in text_of(missing)
        assert get(app, method="POST").status == 405
        made.files.mkdir("/usr/share/nginx/html/dir")
        moved = get(app, "/dir")
        assert moved.status == 301
        assert ("Location", "http://3.35.217.39:30080/dir/") in moved.headers
        assert get(app, "/dir/").status == 403

    serving("nginx:1.25", 80, check)


def test_nginx_serves_what_is_written_into_its_root() -> None:
    def check(app: App, made: ContainerContext) -> None:
        assert "Welcome" in text_of(get(app))
        made.files.write("/usr/share/nginx/html/index.html", b"mine\n")
        assert text_of(get(app)) == "mine\n"

    serving("nginx:alpine", 80, check)


def test_nginx_honours_conditions_and_ranges() -> None:
    def check(app: App, made: ContainerContext) -> None:
        etag = dict(get(app).headers)["ETag"]
        assert get(app, headers=[("If-None-Match", etag)]).status == 304
        assert get(app, headers=[("If-Modified-Since", dict(get(app).headers)["Last-Modified"])]).status == 304
        part = get(app, headers=[("Range", "bytes=0-4")])
        assert (part.status, part.body) == (206, b"<!DOC")
        assert ("Content-Range", "bytes 0-4/615") in part.headers
        assert get(app, headers=[("Range", "bytes=-5")]).body == b"tml>\n"
        assert get(app, headers=[("Range", "bytes=900-")]).status == 416

    serving("nginx", 80, check)


def test_nginx_logs_in_its_main_format() -> None:
    lines: list[str] = []

    def check(app: App, made: ContainerContext) -> None:
        get(app, headers=[("Referer", "http://r/"), ("X-Forwarded-For", "9.9.9.9")])

    serving("nginx", 80, check, log=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("172.16.0.7 - - [")
    assert lines[0].endswith('] "GET / HTTP/1.1" 200 615 "http://r/" "curl/7.79.1" "9.9.9.9"')


def nginx_with(conf: bytes, port: int, check: Callable[[App], None]) -> list[str]:
    """Start nginx with a mounted default.conf; returns its log."""
    lines: list[str] = []

    async def main() -> None:
        made = context("nginx", log=lines.append)
        made.files.write("/etc/nginx/conf.d/default.conf", conf)
        container = catalogue().pull("nginx").content.image.start(made)
        if container.exited.done():
            lines.append(f"exit {container.exited.result()}")
            return
        check(app_of(made, port))

    asyncio.run(main())
    return lines


def test_nginx_follows_its_mounted_configuration() -> None:
    conf = b"""
    server {
        listen 8080 default_server;
        add_header X-Pod $hostname;
        default_type text/plain;
        location / { return 200 "pod $hostname saw $request_uri from $remote_addr\\n"; }
        location = /old { return 301 /new; }
        location ~* \\.json$ { default_type application/json; return 200 '{"a":1}'; }
        location /files/ { root /usr/share/nginx; try_files $uri =404; }
        location /app { root /usr/share/nginx/html; try_files $uri /index.html; }
        location /index.html { root /usr/share/nginx/html; }
        location /gone { return 410; }
    }
    server { listen 8080; server_name other.com *.other.com; return 403; }
    """

    def check(app: App) -> None:
        answer = get(app, "/x?y=1")
        assert text_of(answer) == "pod web-1 saw /x?y=1 from 172.16.0.7\n"
        assert ("Content-Type", "text/plain") in answer.headers
        assert ("Location", "http://3.35.217.39:30080/new") in get(app, "/old").headers
        assert ("Content-Type", "application/json") in get(app, "/a.JSON").headers
        assert get(app, "/files/none").status == 404
        assert "Welcome to nginx!" in text_of(get(app, "/app/deep/link"))
        assert get(app, "/gone").status == 410
        assert get(app, method="POST").status == 200
        for host in ("other.com", "a.other.com:8080"):
            request = Request("GET", "/", [("Host", host)], b"", Flow(("1.1.1.1", 1), ("2.2.2.2", 8080)))
            refused = app(request)
            assert isinstance(refused, Response)
            assert refused.status == 403

    nginx_with(conf, 8080, check)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (b"server { listen 80 }", 'nginx: [emerg] unexpected "}" in /etc/nginx/conf.d/default.conf:1'),
        (
            b"server {\n  listen 80;\n  location / { proxy_pass http://x; }\n}",
            'nginx: [emerg] the directive "proxy_pass" is not known in the embedded cluster, in /etc/nginx/conf.d/d',
        ),
        (b"server { listen abc; }", 'nginx: [emerg] invalid port in "abc" of the "listen" directive in '),
        (b"server {", 'nginx: [emerg] unexpected end of file, expecting "}" in /etc/nginx/conf.d/default.conf:1'),
    ],
)
def test_nginx_refuses_a_configuration_it_cannot_follow(conf: bytes, message: str) -> None:
    lines = nginx_with(conf, 80, lambda app: None)
    assert lines[0].startswith(message)
    assert lines[-1] == "exit 1"
