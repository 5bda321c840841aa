"""What is asked of a caller's device: `posture`.

A source knows facts about devices; `require` are conditions over them (CEL over `device`).
Facts older than `max_age` are as good as none.
"""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.schema.base import Named, Node
from gateway.config.schema.scalars import Duration, FilePath, NonEmpty


class PostureSource(Node):
    """Where the facts are; exactly one of claim, certificate, file, http and store."""

    claim: NonEmpty | None = None
    """The claim of the token that holds them."""
    certificate: NonEmpty | None = None
    """The OID of an extension of the client certificate that holds them as a JSON object."""
    file: FilePath | None = None
    """A file of all devices (YAML or JSON): DEVICE: {fact: value}. Watched."""
    http: NonEmpty | None = None
    """An inventory's URL with {device} in it: 200 with a JSON object, 404 for a device that is not known."""
    store: NonEmpty | None = None
    """A key of `store` that something else writes: a hash of all devices, or with {device} in it one key a device. Each
    value is a JSON object that says by `observed_at` how old it is."""
    ca: FilePath | None = None
    """PEM file of the private authority of the inventory's certificate."""


class Posture(Named):
    """One posture; routes ask for it by name."""

    source: PostureSource
    device: NonEmpty | None = None
    """How the device is known: certificate.fingerprint, certificate.uri or claims.NAME."""
    require: tuple[NonEmpty, ...] = ()
    """CEL over `device`; all must be true."""
    max_age: Annotated[Duration, Field(gt=0)] = 86400.0
    remediation: NonEmpty | None = None
    """What a refused caller is pointed to."""
    mode: Literal["enforce", "shadow"] = "enforce"
