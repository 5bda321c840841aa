"""X-Forwarded-Client-Cert, as Envoy writes it.

Rule: made from the verified certificate alone; what a client sent under this name never gets here (M26).
Invariant: a value cannot add an element: what holds a separator is quoted, and quotes in it are escaped (M27).
"""

from gateway.model.principal import Workload

_REMEMBERED = 4096  # certificates
_SPECIAL = frozenset(',;="\\')


class ClientCert:
    """Writes the field for one gateway identity; what it wrote for a certificate is remembered."""

    def __init__(self, by: str | None) -> None:
        """`by`: the gateway's own SPIFFE id."""
        self._start = f"By={_value(by)};" if by is not None else ""
        self._known: dict[tuple[str, str], bytes] = {}

    def __call__(self, workload: Workload) -> bytes:
        """`By=…;Hash=…;URI=…`, or `DNS=` for an identity by name."""
        key = workload.fingerprint, workload.id
        written = self._known.get(key)
        if written is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            written = self._known[key] = self._write(workload)
        return written

    def _write(self, workload: Workload) -> bytes:
        name = workload.id.removeprefix("dns:")
        kind = "URI" if name == workload.id else "DNS"
        return f"{self._start}Hash={workload.fingerprint};{kind}={_value(name)}".encode("latin-1")


def _value(text: str) -> str:
    if _SPECIAL.isdisjoint(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
