"""Service-account tokens: JSON Web Tokens signed with ES256.

Source of the claims: tokens issued by a k3s v1.34.4 and KEP-2799; format: RFC 7519, RFC 7518 §3.4.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from labctl.embedded.clientset import Obj

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCES = (ISSUER, "k3s")
_HALF = 32


class TokenError(Exception):
    """A token that is not valid (any more), or was not issued here."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a token is bound to besides its service account, for example a pod."""

    kind: str
    name: str
    uid: str


class TokenSigner:
    """Issues and checks tokens.

    Args:
        key: The private key (P-256).
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        public = key.public_key()
        self._public = public
        digest = sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        self._key_id = _encode(digest)

    def issue(
        self,
        account: Obj,
        audiences: Sequence[str],
        lifetime: timedelta,
        now: datetime,
        bound: Sequence[Bound] = (),
    ) -> str:
        """A token for a ServiceAccount object."""
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        kubernetes: Obj = {"namespace": namespace}
        for item in bound:
            kubernetes[item.kind] = {"name": item.name, "uid": item.uid}
        kubernetes["serviceaccount"] = {"name": name, "uid": metadata["uid"]}
        issued = int(now.timestamp())
        claims = {
            "aud": list(audiences) or list(AUDIENCES),
            "exp": issued + int(lifetime.total_seconds()),
            "iat": issued,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": kubernetes,
            "nbf": issued,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return self._sign(claims)

    def _sign(self, claims: Obj) -> str:
        header = {"alg": "ES256", "kid": self._key_id}
        text = f"{_encode(_compact(header))}.{_encode(_compact(claims))}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{_encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def claims(self, token: str, now: datetime) -> Obj:
        """The claims of a token issued here and valid now.

        Raises:
            TokenError: It is not.
        """
        try:
            text, _, signature = token.rpartition(".")
            raw = _decode(signature)
            header, claims = (json.loads(_decode(part)) for part in text.split("."))
        except (ValueError, binascii.Error, RecursionError):
            raise TokenError("not a token") from None
        if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "ES256":
            raise TokenError("not a token of this issuer")
        self._verify(text, raw)
        moment = now.timestamp()
        if claims.get("iss") != ISSUER or not _number(claims, "nbf") - 1 <= moment < _number(claims, "exp"):
            raise TokenError("token has expired or is not valid yet")
        return claims

    def _verify(self, text: str, raw: bytes) -> None:
        if len(raw) != 2 * _HALF:
            raise TokenError("not a signature")
        signature = encode_dss_signature(int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
        try:
            self._public.verify(signature, text.encode(), ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise TokenError("the signature does not fit") from None

    def key_set(self) -> Obj:
        """The public key as a JSON Web Key Set (`/openid/v1/jwks`)."""
        numbers = self._public.public_numbers()
        x, y = (_encode(value.to_bytes(_HALF, "big")) for value in (numbers.x, numbers.y))
        key = {"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}
        return {"keys": [key]}


def _number(claims: Obj, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenError(f"no {name}")
    return value


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
