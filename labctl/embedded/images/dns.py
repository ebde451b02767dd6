"""DNS messages as far as programs in containers need them: one question, and its answers."""

from __future__ import annotations

import ipaddress
import secrets
import struct
from dataclasses import dataclass, field

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; `data` is its presentation form, for example an address or a name."""

    name: str
    type: str
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        rcode: `NOERROR`, `NXDOMAIN`, …
        records: The answer section.
        id: The message id.
        authoritative: The AA bit.
        recursion: The RA bit.
    """

    rcode: str
    records: tuple[Record, ...] = field(default=())
    id: int = 0
    authoritative: bool = False
    recursion: bool = False


def query(name: str, kind: str) -> bytes:
    """A question as a message."""
    head = struct.pack("!6H", secrets.randbelow(65536), 0x0100, 1, 0, 0, 0)
    return head + encode_name(name) + struct.pack("!2H", TYPES[kind], 1)


def encode_name(name: str) -> bytes:
    """A domain name as labels; an overlong label is cut, so that the server says that there is none."""
    labels = [
        label.encode("idna" if not label.isascii() else "ascii")[:63] for label in name.rstrip(".").split(".") if label
    ]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reverse_name(address: str) -> str:
    """`10.200.10.127` → `127.10.200.10.in-addr.arpa`."""
    return ipaddress.ip_address(address).reverse_pointer


def decode(message: bytes) -> Answer:
    """Read a response.

    Raises:
        ValueError: The message is cut short or malformed.
    """
    try:
        ident, flags, questions, answers = struct.unpack_from("!4H", message)
        at = 12
        for _ in range(questions):
            _, at = _name(message, at)
            at += 4
        records = []
        for _ in range(answers):
            record, at = _record(message, at)
            records.append(record)
    except (struct.error, IndexError) as error:
        raise ValueError("malformed DNS message") from error
    code = flags & 0xF
    rcode = RCODES[code] if code < len(RCODES) else str(code)
    return Answer(rcode, tuple(records), ident, bool(flags & 0x0400), bool(flags & 0x0080))


def _record(message: bytes, at: int) -> tuple[Record, int]:
    name, at = _name(message, at)
    kind, _, ttl, length = struct.unpack_from("!2HIH", message, at)
    start = at + 10
    return Record(name, NAMES.get(kind, f"TYPE{kind}"), ttl, _data(message, kind, start, length)), start + length


def _data(message: bytes, kind: int, start: int, length: int) -> str:
    raw = message[start : start + length]
    name = NAMES.get(kind, "")
    if name in ("A", "AAAA"):
        return str(ipaddress.ip_address(raw))
    if name in ("CNAME", "PTR", "NS"):
        return _name(message, start)[0] + "."
    if name == "SRV":
        priority, weight, port = struct.unpack_from("!3H", raw)
        return f"{priority} {weight} {port} {_name(message, start + 6)[0]}."
    if name == "TXT":
        return f'"{raw[1:].decode("utf-8", "replace")}"'
    return raw.hex()


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    end = 0
    for _ in range(128):
        length = message[at]
        if length & 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            continue
        at += 1
        if not length:
            return ".".join(labels), end or at
        labels.append(message[at : at + length].decode("ascii", "replace"))
        at += length
    raise IndexError("too many labels")
