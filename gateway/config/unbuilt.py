"""Keys and values of the contract that this build does not have yet.

Each is an error that names it, never ignored, unless it is set to its default, which is what the gateway does anyway.
The one table below only shrinks.
"""

from collections.abc import Callable

from gateway.config import tree
from gateway.config.document import Block
from gateway.config.problem import Problem
from gateway.config.tree import Gone

_Judge = Callable[[object], str | None]  # a value into the name of what is not built, or None


def _key(name: str, *defaults: object) -> _Judge:
    """The key itself; it may be written with one of its `defaults`, and is then taken out."""

    def judge(value: object) -> str | None:
        if value in defaults:
            return None
        return f"{name}: {value}" if defaults and isinstance(value, str) else name

    return judge


def _value(*names: str) -> _Judge:
    """The key is built, these of its values are not."""
    return lambda value: str(value) if isinstance(value, str) and value in names else None


# The path (`*` is any key or any place of a list), whether it is the key itself that is not built, and the judge.
UNBUILT: tuple[tuple[str, bool, _Judge], ...] = (
    ("listeners.*.protocols.*", False, _value("h2", "h2c")),
    ("upstreams.*.protocol", False, _value("h2")),
    ("audit.sinks", True, _key("sinks", [])),
    ("audit.keep", True, _key("keep")),
    ("telemetry", True, _key("telemetry")),
)


def refuse(root: Block, gone: Gone) -> list[Problem]:
    """What of `root` is not built, and take it out.

    Keys that hold their default are taken out too, for the schema does not know them.
    """
    problems: list[Problem] = []
    for pattern, whole_key, judge in UNBUILT:
        for path in tree.backwards(tree.matching(root, pattern.split("."))):
            name = judge(tree.value(root, path))
            if name is not None:
                where = tree.key_place(root, path) if whole_key else tree.place(root, path)
                problems.append(Problem(where, f"{name} is not built yet: remove it"))
                gone.remove(root, path)
            elif whole_key:
                Gone().remove(root, path)
    return problems
