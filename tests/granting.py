"""Signers of grants, and files that they signed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.config.schema.grants import signed_bytes
from gateway.convert.writing import yaml_text
from gateway.kernel.strict import encode_base64url

BOB: dict[str, Any] = {"from": {"request_principals": ["*/bob"]}, "to": {"methods": ["POST"]}}


class Signer:
    """One who may grant: the halves of a key, as NAME.key and NAME.pub."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.generate()
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self.private.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.public.write_bytes(self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def grant(self, begins: float, ends: float, **changes: Any) -> dict[str, Any]:
        """A grant to bob, signed."""
        grant: dict[str, Any] = {
            "name": "g1", "by": self.name, "routes": ["api"], "rule": BOB, "reason": "INC-1",
            "issued": when(begins), "until": when(ends), **changes,
        }  # fmt: skip
        return {**grant, "signature": encode_base64url(self._key.sign(signed_bytes(grant))).decode()}


def when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def write_grants(folder: Path, *grants: dict[str, Any]) -> Path:
    """grants.yaml, in place at once."""
    path = folder / "grants.yaml"
    fresh = folder / ".fresh"
    fresh.write_text(yaml_text({"grants": list(grants)}), encoding="utf-8")
    fresh.replace(path)
    return path
