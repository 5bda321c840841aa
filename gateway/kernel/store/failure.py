"""The one exception of a store: it did not do what was asked.

Its text names the trouble for a log and never holds a key, an argument or a password: of an error reply only the code.
`sick` tells a store that fails every call (loading, read-only, full) from one call that failed.
"""

# Error codes of Redis after which nothing that we ask can work until its operator or its own recovery acts.
SICK = frozenset(
    {"LOADING", "READONLY", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "MOVED"}
    | {"NOAUTH", "NOPERM", "WRONGPASS", "DENIED"}
)


class StoreUnavailable(Exception):  # noqa: N818 - a state of affairs that callers plan for
    """The store did not answer in time, is not connected, or answered with an error."""

    def __init__(self, trouble: str, *, sick: bool = True) -> None:
        super().__init__(trouble)
        self.sick = sick


def error_code(reply: Exception) -> str:
    """The first word of an error reply, as it may be logged."""
    words = str(reply).split(None, 1)
    word = words[0] if words else ""
    return word if word.isalpha() and word.isupper() else "an error"


def refused(reply: Exception) -> StoreUnavailable:
    """An error reply as our exception. Older servers wrap a script's error: the code then stands within."""
    code = error_code(reply)
    if code == "ERR":
        code = next((word for word in str(reply).replace("-", " ").split() if word in SICK), code)
    return StoreUnavailable(f"Redis answers {code}", sick=code in SICK)
