"""Which rules of the security checklist have an attack test.

A test claims a rule by its id: a case called "J12-none-in-mixed-case" in a table, or `def test_J12_…`. The letters are
the checklist's sections: J tokens, K key sets, M certificates, H HTTP, P paths, Z rules, R limits, A audit.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
_CLAIM = re.compile(r"""(?:["']|def\s+test_)(?P<ids>(?:[JKMHPZRA]\d+[-_+,])+)""")
_ID = re.compile(r"[JKMHPZRA]\d+")


def _span(letter: str, first: int, last: int, without: frozenset[int] = frozenset()) -> list[str]:
    return [f"{letter}{n}" for n in range(first, last + 1) if n not in without]


# What is built so far has to be attacked. Rules of what is not built (HTTP/2 …) join with it.
REQUIRED = [
    *_span("J", 1, 35),
    *["K1", "K2", "K3", "K5"],
    *_span("M", 1, 16),
    *["M20", *_span("M", 22, 27)],
    *_span("H", 1, 30),
    *_span("P", 1, 7),
    *_span("R", 1, 11),
    *_span("A", 1, 11, frozenset({8})),
    *_span("Z", 1, 9),
    *["Z11", "Z12", "Z13", "Z16", "Z17", "Z18", "Z19", "Z21"],
]
# Rules without a test of their own, each with the reason. The list only shrinks.
WITHOUT_A_TEST: dict[str, str] = {}


def claimed() -> Counter[str]:
    """How often each rule's id stands at the start of a test's id."""
    found: Counter[str] = Counter()
    for path in TESTS.rglob("test_*.py"):
        for match in _CLAIM.finditer(path.read_text(encoding="utf-8")):
            found.update(_ID.findall(match["ids"]))
    return found


def gaps() -> Iterator[str]:
    """Required rules that nothing attacks, and exceptions that are not needed any more."""
    found = claimed()
    for rule in REQUIRED:
        if rule not in found and rule not in WITHOUT_A_TEST:
            yield f"rule {rule} of the security checklist has no attack test"
    for rule in WITHOUT_A_TEST:
        if rule in found:
            yield f"tools/rules.py: {rule} has a test now: take it off WITHOUT_A_TEST"


def summary() -> str:
    """One line: how many cases attack each section."""
    by_section: Counter[str] = Counter()
    for rule, count in claimed().items():
        by_section[rule[0]] += count
    return "attack cases by section: " + ", ".join(f"{letter} {by_section[letter]}" for letter in "JKMHPZRA")
