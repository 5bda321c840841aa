"""How a device is known: by the certificate that it presents, or by a claim of its token.

Rule: a device is named by what was proved, never by a header.
"""

from collections.abc import Callable
from typing import TypeAlias

from gateway.model.principal import Principal

DeviceKey: TypeAlias = Callable[[Principal], str | None]

LONGEST = 256  # bytes of UTF-8


def compile_device(text: str) -> DeviceKey:
    """`certificate.fingerprint`, `certificate.uri` or `claims.NAME`. Raises ValueError."""
    if text == "certificate.fingerprint":
        return _fingerprint
    if text == "certificate.uri":
        return _uri
    name = text.removeprefix("claims.")
    if name == text or not name:
        raise ValueError(f"{text!r}: write certificate.fingerprint, certificate.uri or claims.NAME")

    def claim(principal: Principal) -> str | None:
        found = principal.user.claims.get(name) if principal.user is not None else None
        return _sound(found) if isinstance(found, str) else None

    return claim


def _fingerprint(principal: Principal) -> str | None:
    return None if principal.workload is None else principal.workload.fingerprint


def _uri(principal: Principal) -> str | None:
    workload = principal.workload
    return _sound(workload.id) if workload is not None and workload.id.startswith("spiffe://") else None


def _sound(device: str) -> str | None:
    """None for what no path segment can hold: nothing, a dot segment, more than 256 bytes."""
    if device in ("", ".", "..") or len(device.encode("utf-8", "surrogatepass")) > LONGEST:
        return None
    return device
