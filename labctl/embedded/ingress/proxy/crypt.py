"""Password hashes that nginx understands: crypt(3)'s MD5, SHA-256, SHA-512 and bcrypt, Apache's, and LDAP's.

Sources: src/core/ngx_crypt.c of nginx; Poul-Henning Kamp's md5-crypt; Ulrich Drepper's "Unix crypt using SHA-256 and
SHA-512".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def check_password(password: str, stored: str) -> bool:
    """Whether a password fits a stored hash.

    Args:
        password: Latin-1 text of the bytes that the client sent.
        stored: From the password file; an unknown form fits nothing.
    """
    key = password.encode("latin-1", "replace")
    expected = _hash(key, stored)
    return expected is not None and hmac.compare_digest(expected.encode(), stored.encode("utf-8", "replace"))


def _hash(key: bytes, stored: str) -> str | None:
    for prefix, function in _FUNCTIONS:
        if stored.startswith(prefix):
            return function(key, stored)
    return None


def _md5_crypt(key: bytes, stored: str) -> str:
    magic, salt = stored.split("$")[1], stored.split("$")[2][:8]
    digest = _md5_rounds(key, salt.encode(), f"${magic}$".encode())
    order = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    text = "".join(_to64((digest[a] << 16) | (digest[b] << 8) | digest[c], 4) for a, b, c in order)
    return f"${magic}${salt}${text}{_to64(digest[11], 2)}"


def _md5_rounds(key: bytes, salt: bytes, magic: bytes) -> bytes:
    inner = hashlib.md5(key + salt + key, usedforsecurity=False).digest()
    data = key + magic + salt + (inner * (len(key) // 16 + 1))[: len(key)]
    length = len(key)
    while length:
        data += b"\0" if length & 1 else key[:1]
        length >>= 1
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    for number in range(1000):
        data = key if number & 1 else digest
        data += salt if number % 3 else b""
        data += key if number % 7 else b""
        data += digest if number & 1 else key
        digest = hashlib.md5(data, usedforsecurity=False).digest()
    return digest


def _to64(value: int, length: int) -> str:
    text = ""
    for _ in range(length):
        text += _ALPHABET[value & 63]
        value >>= 6
    return text


def _sha_crypt(key: bytes, stored: str) -> str:
    fields = stored.split("$")
    kind, rounds, shown = fields[1], 5000, ""
    if fields[2].startswith("rounds="):
        rounds = max(1000, min(999_999_999, int(fields[2][7:])))
        shown = f"rounds={rounds}$"
    salt = fields[3 if shown else 2][:16]
    new = hashlib.sha256 if kind == "5" else hashlib.sha512
    digest = _sha_rounds(key, salt.encode(), rounds, lambda data: new(data).digest())
    return f"${kind}${shown}{salt}${_sha_text(digest)}"


def _sha_rounds(key: bytes, salt: bytes, rounds: int, digest_of: Callable[[bytes], bytes]) -> bytes:
    size = len(digest_of(b""))
    inner = digest_of(key + salt + key)
    data = key + salt + (inner * (len(key) // size + 1))[: len(key)]
    length = len(key)
    while length:
        data += inner if length & 1 else key
        length >>= 1
    digest = digest_of(data)
    p_bytes = (digest_of(key * len(key)) * (len(key) // size + 1))[: len(key)]
    s_bytes = (digest_of(salt * (16 + digest[0])) * (len(salt) // size + 1))[: len(salt)]
    for number in range(rounds):
        data = p_bytes if number & 1 else digest
        data += s_bytes if number % 3 else b""
        data += p_bytes if number % 7 else b""
        data += digest if number & 1 else p_bytes
        digest = digest_of(data)
    return digest


def _sha_text(digest: bytes) -> str:
    """Base64 of crypt(3): bytes in the order that its inventor chose."""
    if len(digest) == 32:
        triples = [(0, 10, 20)]
        while len(triples) < 10:
            a, b, c = triples[-1]
            triples.append(((c + 1) % 30, (a + 1) % 30, (b + 1) % 30))
        text = "".join(_to64((digest[a] << 16) | (digest[b] << 8) | digest[c], 4) for a, b, c in triples)
        return text + _to64((digest[31] << 8) | digest[30], 3)
    triples = [(0, 21, 42)]
    while len(triples) < 21:
        a, b, c = triples[-1]
        triples.append(((b + 1) % 63, (c + 1) % 63, (a + 1) % 63))
    text = "".join(_to64((digest[a] << 16) | (digest[b] << 8) | digest[c], 4) for a, b, c in triples)
    return text + _to64(digest[63], 2)


def _bcrypt(key: bytes, stored: str) -> str | None:
    import bcrypt

    try:
        return bcrypt.hashpw(key[:72], stored.encode()).decode()
    except ValueError:
        return None


def _plain(key: bytes, stored: str) -> str:
    return "{PLAIN}" + key.decode("latin-1")


def _sha(key: bytes, stored: str) -> str:
    return "{SHA}" + base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()


def _salted_sha(key: bytes, stored: str) -> str | None:
    try:
        salt = base64.b64decode(stored[6:])[20:]
    except binascii.Error:
        return None
    digest = hashlib.sha1(key + salt, usedforsecurity=False).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


_FUNCTIONS: tuple[tuple[str, Callable[[bytes, str], str | None]], ...] = (
    ("$apr1$", _md5_crypt),
    ("$1$", _md5_crypt),
    ("$5$", _sha_crypt),
    ("$6$", _sha_crypt),
    ("$2", _bcrypt),
    ("{PLAIN}", _plain),
    ("{SHA}", _sha),
    ("{SSHA}", _salted_sha),
)
