"""X-Forwarded-Client-Cert, as Envoy writes it.

Rule: made from the verified certificate alone; what a client sent under this name never gets here (M26).
Invariant: a value cannot add an element: what holds a separator is quoted, and quotes in it are escaped (M27).
"""

from gateway.model.principal import Workload

_SPECIAL = frozenset(',;="\\')


def client_cert(workload: Workload, by: str | None) -> str:
    """`By=…;Hash=…;URI=…`, or `DNS=` for an identity by name. `by`: the gateway's own SPIFFE id."""
    name = workload.id.removeprefix("dns:")
    identity = ("URI=" if name == workload.id else "DNS=") + _value(name)
    start = f"By={_value(by)};" if by is not None else ""
    return f"{start}Hash={workload.fingerprint};{identity}"


def _value(text: str) -> str:
    if _SPECIAL.isdisjoint(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
