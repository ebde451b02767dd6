"""The PROXY protocol (`use-proxy-protocol`): a line before the first request that names the real client.

Source: src/core/ngx_proxy_protocol.c of nginx 1.25.5; https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt.
"""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.proxy.access import Networks

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.plane import DataPlane

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LONGEST_LINE = 107
_V2_HEADER = 16
_ADDRESSES = {0x10: ("4s4sHH", 12), 0x20: ("16s16sHH", 36)}


@dataclass(frozen=True, slots=True)
class Proxied:
    """What the header says.

    Attributes:
        length: Bytes of the header.
        source: The client's address and port; None when it does not say.
        destination: The address and port that the client connected to; None likewise.
    """

    length: int
    source: tuple[str, int] | None = None
    destination: tuple[str, int] | None = None


def read_header(data: bytes) -> Proxied | None:
    """The header at the beginning of a connection; None while it is not complete.

    Raises:
        ValueError: There is none.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[:6] != b"PROXY "[: len(data)]:
        raise ValueError("no PROXY protocol header")
    line, newline, _ = data.partition(b"\r\n")
    if not newline:
        if len(data) > _LONGEST_LINE:
            raise ValueError("a PROXY protocol header without an end")
        return None
    words = line.decode("latin-1").split(" ")
    length = len(line) + 2
    if words[1] == "UNKNOWN":
        return Proxied(length)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ValueError("a PROXY protocol header of another form")
    return Proxied(length, _endpoint(words[2], words[4]), _endpoint(words[3], words[5]))


def _endpoint(address: str, port: str) -> tuple[str, int]:
    number = int(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"{port} is no port")
    return str(ipaddress.ip_address(address)), number


def _read_binary(data: bytes) -> Proxied | None:
    if len(data) < _V2_HEADER:
        return None
    version_command, family, size = struct.unpack("!BBH", data[12:_V2_HEADER])
    if version_command >> 4 != 2:
        raise ValueError("a PROXY protocol header of another version")
    length = _V2_HEADER + size
    if len(data) < length:
        return None
    form, needed = _ADDRESSES.get(family & 0xF0, ("", 0))
    if version_command & 0x0F != 1 or not form:
        return Proxied(length)
    if size < needed:
        raise ValueError("a PROXY protocol header without its addresses")
    source, destination, source_port, destination_port = struct.unpack_from("!" + form, data, _V2_HEADER)
    return Proxied(
        length,
        (str(ipaddress.ip_address(source)), source_port),
        (str(ipaddress.ip_address(destination)), destination_port),
    )


class ProxyProtocol(asyncio.Protocol):
    """Reads the header, then hands the connection to what serves it; without a header the connection ends.

    Args:
        plane: Whose settings say which senders are trusted.
        flow: The connection's addresses.
        serve: Makes the protocol that serves, from the addresses as they are then.
    """

    def __init__(self, plane: DataPlane, flow: Flow, serve: Callable[[Flow], asyncio.Protocol]) -> None:
        self._plane = plane
        self._flow = flow
        self._serve = serve
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        transport = self._transport
        assert transport is not None
        self._buffer += data
        try:
            header = read_header(self._buffer)
        except ValueError:
            transport.close()  # nginx says why in its log only
            return
        if header is None:
            return
        protocol = self._serve(self._proxied(header))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        rest = self._buffer[header.length :]
        if rest:
            protocol.data_received(rest)

    def _proxied(self, header: Proxied) -> Flow:
        trusted = Networks(self._plane.generation.settings.proxy_real_ip_cidr)
        client = header.source if header.source and self._flow.client[0] in trusted else self._flow.client
        return replace(self._flow, client=client, server=header.destination or self._flow.server)
