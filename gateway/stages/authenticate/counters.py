"""How credentials were judged: the cells of `authentications_total`.

Methods, results and reasons are closed sets of ours: a table of those that were seen cannot grow without end.
"""

from typing import Final

from gateway.kernel.cells import Counter, CounterFamily
from gateway.model.reason import Reason


class Counters:
    """Counts each credential that was judged, once a request."""

    __slots__ = ("_cells", "_family")

    def __init__(self, family: CounterFamily) -> None:
        """`family`: `authentications_total{method,result,reason}`."""
        self._family = family
        self._cells: dict[tuple[str, Reason | None, bool], Counter] = {}

    def verified(self) -> Counter:
        """The cell of JWTs that held, for who counts them in place."""
        return self._family.labels("jwt", "ok", "")

    def count(self, method: str, reason: Reason | None, *, shadow: bool = False) -> None:
        """`reason`: why it was refused; None when it held. `shadow`: whatever it was, it counted as not sent."""
        try:
            self._cells[method, reason, shadow].value += 1.0
        except KeyError:
            result = "ok" if reason is None else "refused"
            labels = (method, f"shadow_{result}" if shadow else result, "" if reason is None else reason.code)
            cell = self._cells[method, reason, shadow] = self._family.labels(*labels)
            cell.inc()


class _Uncounted(Counters):
    """Counts nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        """Has no cells."""

    def verified(self) -> Counter:
        """One that nobody reads."""
        return Counter()

    def count(self, method: str, reason: Reason | None, *, shadow: bool = False) -> None:
        """Nothing is counted."""


UNCOUNTED: Final[Counters] = _Uncounted()
