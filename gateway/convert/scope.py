"""Where an imported policy stands: theirs select workloads, ours name routes and listeners.

Which routes stand for the workloads that a selector means is the operator's to say (`--routes`).
Without that the policy stands over all routes, and the selector is not carried.
"""

from collections.abc import Sequence

from gateway.convert.fields import Fields


class Scope:
    """The routes and listeners that imported resources are for."""

    def __init__(self, routes: Sequence[str] = (), listeners: Sequence[str] = ()) -> None:
        """`routes`: names or patterns over them, none for all. `listeners`: names, none for `edge`."""
        self._routes = list(dict.fromkeys(routes))
        self.listeners = list(dict.fromkeys(listeners)) or ["edge"]
        self.listeners_chosen = bool(listeners)

    def routes(self) -> list[str]:
        """What stands under `routes` of a policy."""
        return self._routes or ["*"]

    def selectors(self, fields: Fields, *keys: str) -> None:
        """Read the selectors among `keys`, which the chosen routes stand for."""
        for key in keys:
            if key not in fields:
                continue
            if self._routes:
                fields.take(key)
            else:
                fields.lose(key, "it selects workloads, and the policy stands over all routes: name them by --routes")
