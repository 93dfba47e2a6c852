"""Makes the headers that tell a target about a user: the x-amzn-oidc headers, signed so that a target can verify them."""

import base64
import json
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEADERS: Final = ("x-amzn-oidc-accesstoken", "x-amzn-oidc-identity", "x-amzn-oidc-data")
_LIFE: Final = 120
"""Seconds for which the signed claims are valid: as observed on ALBs, since AWS doesn't document it."""


class Signer:
    """Signs user claims as a load balancer does, with a key of its own (ECDSA, P-256, SHA-256)."""

    def __init__(self) -> None:
        self.kid: Final = str(uuid.uuid4())

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def public_key(self) -> str:
        """The public key that verifies the claims (PEM), which AWS serves at https://public-keys.auth.elb.REGION.amazonaws.com/KID."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, claims: Mapping[str, Any], issuer: str, client: str, signer: str, now: float) -> str:
        """The user claims as a JWT.

        AWS ELB, 'User claims encoding and signature verification': alg, kid, signer, iss, client and exp in the header.
        'Standard libraries are not compatible with the padding that is included in the ALB authentication token'.
        """
        expires = int(now) + _LIFE
        header = {"typ": "JWT", "kid": self.kid, "alg": "ES256", "iss": issuer, "client": client, "signer": signer}
        parts = [_encode(header | {"exp": expires}), _encode({**claims, "exp": expires, "iss": issuer})]
        signed = self._key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
        numbers = utils.decode_dss_signature(signed)
        return ".".join([*parts, _padded(b"".join(number.to_bytes(32, "big") for number in numbers))])


def _encode(value: Mapping[str, Any]) -> str:
    return _padded(json.dumps(value, separators=(",", ":")).encode())


def _padded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
