"""`rewrite`: another path or host for the backend.

Rule: rules have seen the path before it; the identity that the backend must prove does not change with it.
Invariant: the result is a normalised path again, or the request is refused (P1, P7).
"""

from gateway.kernel.patterns.paths import AmbiguousPath, compile_normaliser
from gateway.model.reason import Reason
from gateway.model.refused import Refused

_normalise = compile_normaliser(keep_encoded_slash=True, keep_semicolon=True)  # the listener has judged those


class Rewrite:
    """The rewrite of one route."""

    def __init__(self, *, prefix: str | None = None, path: str | None = None, host: str | None = None) -> None:
        """`prefix` goes before what followed the matched pattern's prefix; `path` replaces all. Raises ValueError."""
        self.host = host
        self._prefix = prefix.rstrip("/") if prefix is not None else None
        self._path = path
        for text in (prefix, path):
            if text is not None and _judged(text) is None:
                raise ValueError(f'"{text}" is no path in normal form')

    def __call__(self, path: str, matched: str) -> str:
        """The path to send; `matched` is the literal text before `/*`. Raises Refused(AMBIGUOUS_PATH)."""
        if self._path is not None:
            return self._path
        if self._prefix is None:
            return path
        rewritten = _judged(self._prefix + path[len(matched) :])
        if rewritten is None or not path.startswith(matched):
            raise Refused(Reason.AMBIGUOUS_PATH, "the rewritten path can be read in more than one way")
        return rewritten


def _judged(path: str) -> str | None:
    """The path if it is its own normal form, else None."""
    try:
        return path if _normalise(path.encode("ascii")) == path else None
    except (AmbiguousPath, UnicodeEncodeError):
        return None
