"""wget, as busybox has it."""

from __future__ import annotations

import asyncio
import posixpath
import ssl

from labctl.embedded.http.messages import Headers
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.httpclient import Answer, Exchange, ProtocolError, Url, parse_url, perform
from labctl.embedded.images.programs.options import Options, parse_options
from labctl.embedded.images.programs.resolving import ResolveError, addresses

_LONG = ("quiet", "output-document=", "header=", "post-data=", "timeout=", "spider", "no-check-certificate", "tries=")
MAX_REDIRECTS = 5


async def wget(process: Process) -> int:
    """`wget [-q] [-O file] [-T seconds] [--header field] [--spider] url`."""
    options = parse_options(process, "qO:T:SU:ct:", _LONG)
    if not options.operands:
        raise Exit(1, "wget: missing URL\n")
    text = options.operands[0]
    try:
        url = parse_url(text)
    except ValueError as error:
        raise Exit(1, f"wget: not an http or ftp url: {text}\n") from error
    seconds = options.values.get("T", options.values.get("timeout", "900"))
    try:
        answer, url = await asyncio.wait_for(_follow(process, url, options), float(seconds))
    except TimeoutError as error:
        raise Exit(1, "wget: download timed out\n") from error
    if answer.status >= 400:
        raise Exit(1, f"wget: server returned error: HTTP/{answer.version} {answer.status} {answer.reason}\n")
    if "spider" in options:
        await _say(process, options, "remote file exists\n")
        return 0
    return await _save(process, url, answer, options)


async def _follow(process: Process, url: Url, options: Options) -> tuple[Answer, Url]:
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _request(process, url, options)
        location = answer.header("Location")
        if not 300 <= answer.status < 400 or not location:
            return answer, url
        url = parse_url(location if "://" in location else f"{url.scheme}://{url.authority}{location}")
    raise Exit(1, "wget: too many redirections\n")


async def _request(process: Process, url: Url, options: Options) -> Answer:
    try:
        found = await addresses(process, url.host)
    except ResolveError as error:
        raise Exit(1, f"wget: bad address '{url.authority}'\n") from error
    await _say(process, options, f"Connecting to {url.authority} ({found[0]}:{url.port})\n")
    body = options.values.get("post-data")
    headers: Headers = [
        ("Host", url.authority),
        ("User-Agent", options.values.get("U", "Wget")),
        ("Connection", "close"),
    ]
    for given in options.all("header"):
        name, _, value = given.partition(":")
        headers = [*(field for field in headers if field[0].lower() != name.lower()), (name, value.strip())]
    if body is not None:
        headers += [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    data = body.encode() if body is not None else b""
    exchange = Exchange(url, "GET" if body is None else "POST", headers, data, tls, found[0])
    try:
        answer = await perform(process, exchange)
    except ProtocolError as error:
        raise Exit(1, "wget: error getting response\n") from error
    except TimeoutError:
        raise
    except OSError as error:
        raise Exit(1, f"wget: can't connect to remote host ({found[0]}): {error.strerror or error}\n") from error
    if "S" in options:
        shown = answer.head.decode("latin-1").replace("\r\n", "\n  ").rstrip()
        await process.stderr.write(f"  {shown}\n".encode("latin-1"))
    return answer


async def _save(process: Process, url: Url, answer: Answer, options: Options) -> int:
    name = options.values.get("O", options.values.get("output-document", ""))
    name = name or posixpath.basename(url.target.partition("?")[0]) or "index.html"
    if name == "-":
        await process.stdout.write(answer.body)
    else:
        path = process.path(name)
        if process.files.exists(path) and not options.any("O", "output-document"):
            raise Exit(1, f"wget: can't open '{name}': File exists\n")
        await _say(process, options, f"saving to '{name}'\n")
        if path != "/dev/null":
            process.files.write(path, answer.body)
    bar = "*" * 32
    size = len(answer.body)
    await _say(process, options, f"{name[:20]:20s} 100% |{bar}| {size:5d}  0:00:00 ETA\n")
    await _say(process, options, f"'{name}' saved\n" if name != "-" else "written to stdout\n")
    return 0


async def _say(process: Process, options: Options, text: str) -> None:
    if not options.any("q", "quiet"):
        await process.stderr.write(text.encode())
