"""CORS fields, from the route's settings alone (Fetch standard, CORS protocol).

Rule: an origin is compared whole; it is echoed only when it is listed.
Invariant: `*` never stands beside credentials.
"""

from collections.abc import Iterable

from gateway.model.request import Preflight, RawHeaders


class Cors:
    """The `cors` of one route."""

    def __init__(
        self,
        origins: Iterable[str],
        methods: Iterable[str],
        headers: Iterable[str],
        expose: Iterable[str],
        *,
        credentials: bool,
        max_age: int,
    ) -> None:
        """`max_age` in seconds. Raises ValueError for `*` with credentials."""
        self._origins = {origin.encode("ascii") for origin in origins}
        self._any = b"*" in self._origins
        if self._any and credentials:
            raise ValueError("any origin with credentials: name the origins")
        self._always: RawHeaders = [] if self._any else [(b"vary", b"Origin")]
        shared: RawHeaders = [(b"access-control-allow-credentials", b"true")] if credentials else []
        exposed = ", ".join(expose).encode("ascii")
        self._answer = shared + ([(b"access-control-expose-headers", exposed)] if exposed else [])
        self._preflight: RawHeaders = [
            *shared,
            (b"access-control-allow-methods", ", ".join(methods).encode("ascii")),
            (b"access-control-max-age", b"%d" % max_age),
        ]
        if allowed := ", ".join(headers).encode("ascii"):
            self._preflight.append((b"access-control-allow-headers", allowed))

    def fields(self, origin: bytes | None, preflight: Preflight | None) -> RawHeaders:
        """What stands on an answer to a request from `origin` (None: it named none)."""
        if origin is None or not (self._any or origin in self._origins):
            return self._always
        allowed = (b"access-control-allow-origin", b"*" if self._any else origin)
        return [allowed, *self._always, *(self._answer if preflight is None else self._preflight)]
