"""DNS messages: questions from bytes, replies to bytes (RFC 1035, RFC 2782, RFC 6891)."""

from __future__ import annotations

import ipaddress
import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPT = 41
_IN = 1
_PLAIN_UDP = 512
_UDP_LIMIT = 1232
"""What replies are kept below however much a client would take, so that they are not fragmented."""


class Type(IntEnum):
    """Record types that the cluster's DNS knows."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33


class Rcode(IntEnum):
    """Response codes."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A query with one question.

    Attributes:
        id: The message's id.
        name: In the query's own case, without the last dot.
        type: Record type asked for; any number.
        opcode: 0 for a standard query.
        klass: 1 for the Internet.
        recursion: Whether recursion is desired.
        udp_size: Bytes of a UDP reply that the client takes; 0 without EDNS.
    """

    id: int
    name: str
    type: int
    opcode: int = 0
    klass: int = _IN
    recursion: bool = True
    udp_size: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record.

    Attributes:
        name: Its owner, without the last dot.
        type: Its type.
        ttl: Seconds.
        data: An address (A, AAAA), a name (CNAME, NS, PTR), the text (TXT), `priority weight port target` (SRV), or
            `mname rname serial refresh retry expire minimum` (SOA); names without the last dot.
    """

    name: str
    type: Type
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question is answered with.

    Attributes:
        rcode: Response code.
        answers: The answer section.
        authority: The authority section.
        extra: The additional section, without OPT.
        authoritative: The AA bit.
    """

    rcode: Rcode
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()
    authoritative: bool = True


def read_question(message: bytes) -> Question:
    """A query.

    Raises:
        ValueError: It is no query, or not whole.
    """
    try:
        ident, flags, questions, answers, authority, extra = struct.unpack_from("!6H", message)
        if flags & _QR or questions != 1:
            raise ValueError("not a query with one question")
        name, at = read_name(message, 12)
        kind, klass = struct.unpack_from("!2H", message, at)
        size = 0 if answers or authority or not extra else _udp_size(message, at + 4)
    except (struct.error, IndexError) as error:
        raise ValueError("the query is cut short") from error
    return Question(ident, name, kind, flags >> 11 & 0xF, klass, bool(flags & _RD), size)


def read_name(message: bytes, at: int) -> tuple[str, int]:
    """A name, and where what follows it begins.

    Raises:
        ValueError: It is too long, or its pointers go round in circles.
        IndexError: The message ends within it.
    """
    labels: list[bytes] = []
    end = 0
    for _ in range(128):
        length = message[at]
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
        elif length > 63:
            raise ValueError("unknown kind of label")
        elif length:
            if at + 1 + length > len(message):
                raise IndexError("the label is cut short")
            labels.append(message[at + 1 : at + 1 + length])
            at += 1 + length
        else:
            return ".".join(_text(label) for label in labels), end or at + 1
    raise ValueError("too many labels")


def _text(label: bytes) -> str:
    """A label as text; dots and bytes that do not print are escaped as in zone files."""
    return "".join(
        chr(byte) if 32 < byte < 127 and byte not in b".\\" else f"\\{chr(byte)}" if byte in b".\\" else f"\\{byte:03d}"
        for byte in label
    )


def _udp_size(message: bytes, at: int) -> int:
    """The size in an OPT record, which is the first additional record in practice."""
    _, at = read_name(message, at)
    kind, size = struct.unpack_from("!2H", message, at)
    return size if kind == _OPT else 0


def write_reply(message: bytes, question: Question, reply: Reply, *, limit: int = 65535) -> bytes:
    """A reply as bytes.

    Args:
        message: The query; its question is sent back byte by byte.
        question: The same, as read.
        reply: What to answer.
        limit: Bytes that the reply may have; a longer one is sent without records and marked as truncated.
    """
    opt = struct.pack("!B2HIH", 0, _OPT, _UDP_LIMIT, 0, 0) if question.udp_size else b""
    sections = (reply.answers, reply.authority, reply.extra)
    body = _Writer(message[12 : _end_of_question(message)])
    for section in sections:
        body.records(section)
    flags = _QR | question.opcode << 11 | reply.rcode | (_RD if question.recursion else 0)
    flags |= _AA if reply.authoritative else 0
    counts = [len(section) for section in sections]
    data = body.data
    if 12 + len(data) + len(opt) > limit:
        data, counts = data[: _end_of_question(message) - 12], [0, 0, 0]
        flags |= _TC
    counts[2] += bool(opt)
    return struct.pack("!6H", question.id, flags, 1, *counts) + bytes(data) + opt


def write_query(name: str, kind: Type) -> bytes:
    """A recursive query."""
    writer = _Writer(b"")
    writer.name(name)
    head = struct.pack("!6H", secrets.randbelow(65536), _RD, 1, 0, 0, 0)
    return head + bytes(writer.data) + struct.pack("!2H", kind, _IN)


def read_addresses(reply: bytes) -> list[str]:
    """The IPv4 addresses in a reply's answer section.

    Raises:
        ValueError: The reply is not whole.
    """
    found: list[str] = []
    try:
        questions, answers = struct.unpack_from("!2H", reply, 4)
        at = 12
        for _ in range(questions):
            at = read_name(reply, at)[1] + 4
        for _ in range(answers):
            _, at = read_name(reply, at)
            kind, _, _, length = struct.unpack_from("!2HIH", reply, at)
            at += 10 + length
            if kind == Type.A and length == 4:
                found.append(str(ipaddress.IPv4Address(reply[at - 4 : at])))
    except (struct.error, IndexError) as error:
        raise ValueError("the reply is cut short") from error
    return found


def udp_limit(question: Question) -> int:
    """Bytes that a UDP reply to a question may have."""
    return max(_PLAIN_UDP, min(question.udp_size, _UDP_LIMIT))


def write_error(message: bytes, rcode: Rcode) -> bytes:
    """A reply to something that could not be read as a query; empty when it has not even an id."""
    if len(message) < 12 or message[2] & 0x80:
        return b""
    return message[:2] + struct.pack("!5H", _QR | message[2] << 8 & 0x7900 | rcode, 0, 0, 0, 0)


def _end_of_question(message: bytes) -> int:
    return read_name(message, 12)[1] + 4


class _Writer:
    """Records after a question, with names compressed."""

    def __init__(self, question: bytes) -> None:
        self.data = bytearray(question)
        self._known: dict[str, int] = {}
        if question:
            self._remember(read_name(b"\0" * 12 + question, 12)[0], 12)

    def records(self, records: Iterable[Record]) -> None:
        """Append records."""
        for record in records:
            self.name(record.name)
            self.data += struct.pack("!2HI", record.type, _IN, record.ttl)
            start = len(self.data)
            self.data += b"\0\0"
            self._data(record)
            struct.pack_into("!H", self.data, start, len(self.data) - start - 2)

    def _data(self, record: Record) -> None:
        match record.type:
            case Type.A | Type.AAAA:
                self.data += ipaddress.ip_address(record.data).packed
            case Type.TXT:
                text = record.data.encode()
                self.data += b"".join(
                    bytes([len(part)]) + part for part in (text[i : i + 255] for i in range(0, len(text), 255))
                )
            case Type.SRV:
                *numbers, target = record.data.split(" ")
                self.data += struct.pack("!3H", *map(int, numbers))
                self.name(target, compress=False)  # RFC 2782
            case Type.SOA:
                primary, mailbox, *numbers = record.data.split(" ")
                self.name(primary)
                self.name(mailbox)
                self.data += struct.pack("!5I", *map(int, numbers))
            case _:
                self.name(record.data)

    def name(self, name: str, *, compress: bool = True) -> None:
        """Append a name."""
        rest = name
        while rest:
            pointer = self._known.get(rest.lower())
            if compress and pointer is not None:
                self.data += struct.pack("!H", 0xC000 | pointer)
                return
            self._remember(rest, 12 + len(self.data), once=True)
            label, _, rest = rest.partition(".")
            raw = label.encode("ascii", "replace")[:63]
            self.data += bytes([len(raw)]) + raw
        self.data += b"\0"

    def _remember(self, name: str, at: int, *, once: bool = False) -> None:
        """Where a name (and, unless `once`, each name that it ends with) begins."""
        while name and at < 0x4000:
            self._known.setdefault(name.lower(), at)
            if once or "\\" in name:
                return
            label, _, name = name.partition(".")
            at += 1 + len(label)
