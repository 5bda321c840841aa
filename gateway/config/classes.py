"""Classes of data: what `classes` requires of a route with that `classification`, joined with what it requires itself.

Rule: both hold, so joining only ever asks for more; what cannot hold at once is an error of the file.
"""

from collections.abc import Mapping, Sequence

from gateway.config.schema import Config, Requires, Route
from gateway.config.tree import Path


def classified(config: Config) -> Config:
    """`config`, each route with what its class requires. What comes from a class does not count as set."""
    if not config.classes:
        return config
    return config.replace(routes=tuple(_classified(config, route) for route in config.routes))


def causes(config: Config) -> Mapping[Path, str]:
    """Which class is behind what a route requires and does not say, by path."""
    return {
        ("routes", index, "requires", *key): f"the class {route.classification}"
        for index, route in enumerate(config.routes)
        if route.requires is not None
        for key in ((), *((each,) for each in route.requires.origins))
    }


def clashes(own: Requires, of_class: Requires) -> list[str]:
    """The keys in which no request could meet both."""
    pairs = [(key, getattr(own, key), getattr(of_class, key)) for key in ("audiences", "acr")]
    found = [key for key, asked, added in pairs if asked and not both(asked, added)]
    if own.posture is not None and of_class.posture not in (None, own.posture):
        found.append("posture")
    return found


def both(own: Sequence[str], of_class: Sequence[str]) -> tuple[str, ...]:
    """What either accepts where one is asked, what both accept where both are."""
    if not own or not of_class:
        return tuple(own or of_class)
    return tuple(value for value in own if value in of_class)


def _classified(config: Config, route: Route) -> Route:
    held = config.classes.get(route.classification or "")
    if held is None:
        return route
    own, added = route.requires or Requires(where=held.requires.where), held.requires
    ages = [age for age in (own.max_auth_age, added.max_auth_age) if age is not None]
    joined: dict[str, object] = {
        "certificate": own.certificate or added.certificate,
        "audiences": both(own.audiences, added.audiences),
        "scopes": tuple(dict.fromkeys((*own.scopes, *added.scopes))),
        "acr": both(own.acr, added.acr),
        "max_auth_age": min(ages, default=None),
        "posture": own.posture or added.posture,
    }
    changed = {key: value for key, value in joined.items() if value != getattr(own, key)}
    whole = own.replace(**changed, origins=dict.fromkeys(changed, added.where))
    whole.model_fields_set.difference_update(changed)
    filled = route.replace(requires=whole)
    if route.requires is None:
        filled.model_fields_set.discard("requires")
    return filled
