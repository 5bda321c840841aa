"""Values of the contract that this build does not have yet.

Each is an error that names it, never ignored. The one table below only shrinks.
"""

from gateway.config import tree
from gateway.config.document import Block
from gateway.config.problem import Problem
from gateway.config.tree import Gone

# The path (`*` is any key or any place of a list), and the values that are not built.
UNBUILT: tuple[tuple[str, frozenset[str]], ...] = (
    ("listeners.*.protocols.*", frozenset({"h2", "h2c"})),
    ("upstreams.*.protocol", frozenset({"h2"})),
)


def refuse(root: Block, gone: Gone) -> list[Problem]:
    """What of `root` is not built, and take it out."""
    problems: list[Problem] = []
    for pattern, values in UNBUILT:
        for path in tree.backwards(tree.matching(root, pattern.split("."))):
            value = tree.value(root, path)
            if isinstance(value, str) and value in values:
                problems.append(Problem(tree.place(root, path), f"{value} is not built yet: remove it"))
                gone.remove(root, path)
    return problems
