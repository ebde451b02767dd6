"""curl: the options of the study's loops and of Kubernetes' own documentation, with curl's error codes and words."""

from __future__ import annotations

import asyncio
import base64
import json
import posixpath
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urljoin

from labctl.embedded.http.messages import Headers
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.httpclient import Answer, Exchange, ProtocolError, Url, parse_url, perform
from labctl.embedded.images.programs.options import Options, parse_options
from labctl.embedded.images.programs.resolving import ResolveError

VERSION = "7.88.1"
MAX_REDIRECTS = 50

_SHORT = "sSiIvkLfgGX:H:d:o:w:m:A:e:u:b:O0#"
_LONG = (
    *("silent", "show-error", "include", "head", "verbose", "insecure", "location", "fail", "get", "http1.1"),
    *("request=", "header=", "data=", "data-raw=", "data-binary=", "json=", "output=", "write-out=", "max-time="),
    *("connect-timeout=", "user-agent=", "referer=", "user=", "cookie=", "cacert=", "resolve=", "url=", "retry="),
    *("remote-name", "no-progress-meter", "progress-bar", "compressed", "version", "oauth2-bearer=", "noproxy="),
)


class CurlError(Exception):
    """A failed transfer: curl's own code and words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class _Timing:
    started: float
    total: float = 0.0


async def curl(process: Process) -> int:
    """`curl [options] url…`."""
    options = parse_options(process, _SHORT, _LONG, status=2)
    if "version" in options:
        await process.print(f"curl {VERSION} (as labctl's embedded cluster has it)\nProtocols: http https\n")
        return 0
    urls = options.all("url") + options.operands
    if not urls:
        raise Exit(2, "curl: try 'curl --help' or 'curl --manual' for more information\n")
    status = 0
    for url in urls:
        status = await _one(process, url, options)
    return status


async def _one(process: Process, url: str, options: Options) -> int:
    timing = _Timing(time.monotonic())
    code, text = 0, ""
    answer: Answer | None = None
    try:
        answer = await _transfer(process, url, options, timing)
        if options.any("f", "fail") and answer.status >= 400:
            code, text = 22, f"The requested URL returned error: {answer.status}"
        else:
            await _deliver(process, url, answer, options)
    except CurlError as error:
        code, text = error.code, error.text
    timing.total = time.monotonic() - timing.started
    if code and (not options.any("s", "silent") or options.any("S", "show-error")):
        await process.stderr.write(f"curl: ({code}) {text}\n".encode())
    form = options.values.get("w", options.values.get("write-out", ""))
    if form:
        await process.print(_write_out(form, answer, url, timing, code, text))
    return code


async def _transfer(process: Process, url: str, options: Options, timing: _Timing) -> Answer:
    limit = _seconds(options, "m", "max-time")
    connect = _seconds(options, "connect-timeout")
    seconds = min([value for value in (limit, connect) if value is not None], default=None)
    try:
        return await asyncio.wait_for(_follow(process, url, options), seconds)
    except TimeoutError as error:
        passed = int((time.monotonic() - timing.started) * 1000)
        raise CurlError(28, f"Connection timed out after {passed} milliseconds") from error


def _seconds(options: Options, *names: str) -> float | None:
    for name in names:
        if name in options:
            try:
                return float(options.values[name])
            except ValueError as error:
                raise CurlError(2, f"option {name}: expected a proper numerical parameter") from error
    return None


async def _follow(process: Process, url: str, options: Options) -> Answer:
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _request(process, url, options)
        location = answer.header("Location")
        if not options.any("L", "location") or not location or not 300 <= answer.status < 400:
            return answer
        url = urljoin(str(parse_url(url)), location)
    raise CurlError(47, f"Maximum ({MAX_REDIRECTS}) redirects followed")


async def _request(process: Process, text: str, options: Options) -> Answer:
    try:
        url = parse_url(text)
    except ValueError as error:
        scheme = text.partition("://")[0] if "://" in text else ""
        if scheme and scheme not in ("http", "https"):
            raise CurlError(1, f'Protocol "{scheme}" not supported or disabled in libcurl') from error
        raise CurlError(3, "URL using bad/illegal format or missing URL") from error
    body = _body(process, options)
    if options.any("G", "get") and body is not None:
        url = parse_url(f"{text}{'&' if '?' in text else '?'}{body.decode()}")
        body = None
    exchange = Exchange(
        url,
        options.values.get("X") or options.values.get("request") or _method(options, body),
        _headers(url.authority, options, body),
        body or b"",
        _tls(process, options) if url.scheme == "https" else None,
        _pinned(url.host, url.port, options),
    )
    if options.any("v", "verbose"):
        await _trace(process, exchange)
    return await _attempt(process, exchange, options)


async def _attempt(process: Process, exchange: Exchange, options: Options) -> Answer:
    url = exchange.url
    started = time.monotonic()
    try:
        answer = await perform(process, exchange)
    except ResolveError as error:
        raise CurlError(6, f"Could not resolve host: {url.host}") from error
    except ssl.SSLCertVerificationError as error:
        raise CurlError(60, _certificate_problem(error, url.host)) from error
    except ssl.SSLError as error:
        raise CurlError(35, f"OpenSSL/3.0.15: {error.reason}") from error
    except BrokenPipeError as error:
        raise CurlError(56, "Recv failure: Connection reset by peer") from error
    except TimeoutError as error:
        passed = int((time.monotonic() - started) * 1000)
        raise CurlError(
            28, f"Failed to connect to {url.host} port {url.port} after {passed} ms: Timeout was reached"
        ) from error
    except OSError as error:
        passed = int((time.monotonic() - started) * 1000)
        words = f"Failed to connect to {url.host} port {url.port} after {passed} ms: Couldn't connect to server"
        raise CurlError(7, words) from error
    except ProtocolError as error:
        raise CurlError(1 if str(error) else 52, str(error) or "Empty reply from server") from error
    if options.any("v", "verbose"):
        head = "".join(f"< {line}\r\n" for line in answer.head.decode("latin-1").split("\r\n")[:-1])
        await process.stderr.write(head.encode("latin-1"))
    return answer


def _not_connected(url: Url, started: float, why: str) -> str:
    passed = int((time.monotonic() - started) * 1000)
    return f"Failed to connect to {url.host} port {url.port} after {passed} ms: {why}"


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str) -> str:
    if "Hostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message:
        return f"SSL: no alternative certificate subject name matches target host name '{host}'"
    return (
        f"SSL certificate problem: {error.verify_message}\nMore details here: https://curl.se/docs/sslcerts.html\n\n"
        "curl failed to verify the legitimacy of the server and therefore could not\n"
        "establish a secure connection to it. To learn more about this situation and\n"
        "how to fix it, please visit the web page mentioned above."
    )


def _method(options: Options, body: bytes | None) -> str:
    if options.any("I", "head"):
        return "HEAD"
    return "GET" if body is None else "POST"


def _body(process: Process, options: Options) -> bytes | None:
    pieces = []
    for option, value in options.every:
        if option not in ("d", "data", "data-raw", "data-binary", "json"):
            continue
        if value.startswith("@") and option != "data-raw":
            try:
                data = process.files.read(process.path(value[1:]))
            except OSError as error:
                raise CurlError(26, f"Failed to open {value[1:]}") from error
            pieces.append(data if option == "data-binary" else data.replace(b"\r", b"").replace(b"\n", b""))
        else:
            pieces.append(value.encode())
    return b"&".join(pieces) if pieces else None


def _headers(authority: str, options: Options, body: bytes | None) -> Headers:
    agent = options.values.get("A", options.values.get("user-agent", f"curl/{VERSION}"))
    headers: Headers = [("Host", authority), ("User-Agent", agent), ("Accept", "*/*")]
    for short, long, name in (("e", "referer", "Referer"), ("b", "cookie", "Cookie")):
        value = options.values.get(short, options.values.get(long))
        if value:
            headers.append((name, value))
    user = options.values.get("u", options.values.get("user"))
    if user:
        headers.append(("Authorization", "Basic " + base64.b64encode(user.encode()).decode()))
    if "oauth2-bearer" in options:
        headers.append(("Authorization", f"Bearer {options.values['oauth2-bearer']}"))
    if body is not None:
        kind = "application/json" if "json" in options else "application/x-www-form-urlencoded"
        headers += [("Content-Length", str(len(body))), ("Content-Type", kind)]
    for given in options.all("H", "header"):
        name, colon, value = given.partition(":")
        name = name.rstrip(";")
        headers = [field for field in headers if field[0].lower() != name.lower() or not colon]
        if value.strip():
            headers.append((name, value.strip()))
    return headers


def _tls(process: Process, options: Options) -> ssl.SSLContext:
    if options.any("k", "insecure"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if "cacert" not in options:
        return ssl.create_default_context()
    name = options.values["cacert"]
    try:
        pem = process.files.read(process.path(name)).decode("ascii", "replace")
        return ssl.create_default_context(cadata=pem)
    except (OSError, ssl.SSLError) as error:
        raise CurlError(77, f"error setting certificate file: {name}") from error


def _pinned(host: str, port: int, options: Options) -> str:
    for entry in options.all("resolve"):
        parts = entry.lstrip("+").split(":", 2)
        if len(parts) == 3 and parts[0] == host and parts[1] == str(port):
            return parts[2]
    return ""


async def _trace(process: Process, exchange: Exchange) -> None:
    lines = [f"> {exchange.method} {exchange.url.target} HTTP/1.1"]
    lines += [f"> {name}: {value}" for name, value in exchange.headers]
    await process.stderr.write(("\n".join([*lines, ">", ""])).encode("latin-1"))


async def _deliver(process: Process, url: str, answer: Answer, options: Options) -> None:
    data = answer.head if options.any("i", "include", "I", "head") else b""
    data += answer.body
    target = options.values.get("o", options.values.get("output", ""))
    if options.any("O", "remote-name"):
        target = posixpath.basename(parse_url(url).target.partition("?")[0]) or "curl_response"
    if not target or target == "-":
        await process.stdout.write(data)
    elif target != "/dev/null":
        try:
            process.files.write(process.path(target), data)
        except OSError as error:
            raise CurlError(23, f"Failure writing output to destination: {error.strerror}") from error


def _write_out(form: str, answer: Answer | None, url: str, timing: _Timing, code: int, text: str) -> str:
    status = f"{answer.status:03d}" if answer is not None else "000"
    values = {
        "http_code": status,
        "response_code": status,
        "time_total": f"{timing.total:.6f}",
        "size_download": str(len(answer.body)) if answer is not None else "0",
        "content_type": answer.header("Content-Type") if answer is not None else "",
        "remote_ip": answer.address if answer is not None else "",
        "url_effective": url if "://" in url else f"http://{url}/",
        "exitcode": str(code),
        "errormsg": text,
        "http_version": answer.version if answer is not None else "0",
        "redirect_url": answer.header("Location") if answer is not None else "",
    }
    values["json"] = json.dumps(values)
    for name, value in values.items():
        form = form.replace(f"%{{{name}}}", value)
    return form.replace("\\n", "\n").replace("\\t", "\t").replace("%%", "%")
