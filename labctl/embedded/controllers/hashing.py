"""The hashes in names and labels that controllers make up."""

from __future__ import annotations

import json
from typing import Any

from labctl.embedded.clientset import Obj

# Without vowels and lookalikes, so that no word comes out: apimachinery/pkg/util/rand.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_OFFSET, _PRIME = 0x811C9DC5, 0x01000193


def safe_encode(text: str) -> str:
    """`rand.SafeEncodeString`: every character replaced by one of the safe alphabet."""
    return "".join(_SAFE[ord(character) % len(_SAFE)] for character in text)


def fnv32(data: bytes) -> int:
    """FNV-1, 32 bits."""
    digest = _OFFSET
    for byte in data:
        digest = (digest * _PRIME & 0xFFFFFFFF) ^ byte
    return digest


def fnv32a(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    digest = _OFFSET
    for byte in data:
        digest = (digest ^ byte) * _PRIME & 0xFFFFFFFF
    return digest


def canonical(value: Any) -> bytes:
    """JSON as Go's encoder writes a map: sorted keys, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def pod_template_hash(template: Obj, collisions: int | None) -> str:
    """Label value that tells the ReplicaSets of a Deployment apart.

    Kubernetes hashes the Go struct's dump, here it is the JSON: same form, other values.

    Args:
        template: The pod template, without the hash label itself.
        collisions: `status.collisionCount` of the owner.
    """
    data = canonical(template)
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))


def revision_hash(data: Any, collisions: int | None) -> str:
    """Hash of a ControllerRevision's data, equal to the one that `history.HashControllerRevision` computes."""
    text = canonical(data)
    if collisions is not None:
        text += str(collisions).encode()
    return safe_encode(str(fnv32(text)))
