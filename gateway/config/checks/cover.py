"""Patterns compared with patterns: does one take everything that another takes, can both take the same value.

Answers err on the quiet side: what is not certain is "does not cover" and "may overlap".
"""

from gateway.kernel.patterns.paths import compile_path
from gateway.kernel.patterns.templates import is_template
from gateway.kernel.patterns.values import Kind, parse_value


def representative(pattern: str) -> str:
    """A value that `pattern` matches, and only patterns that cover it or cross it match too."""
    if is_template(pattern):
        return pattern.replace("{**}", "\1").replace("{*}", "\1")
    kind, literal = parse_value(pattern)
    if kind is Kind.EXACT:
        return literal
    return f"/\1{literal}" if kind is not Kind.PREFIX else f"{literal}\1"


def covers(wide: str, narrow: str) -> bool:
    """True when `wide` surely matches whatever `narrow` matches. Both are sound path patterns."""
    if wide in (narrow, "*"):
        return True
    if is_template(narrow):
        head = narrow.partition("{")[0]
        return not is_template(wide) and _prefix_of(wide, head)
    kind, literal = parse_value(narrow)
    if kind is Kind.EXACT:
        return compile_path(wide)(literal)
    if is_template(wide):
        return False
    if kind is Kind.PREFIX:
        return _prefix_of(wide, literal)
    other, text = parse_value(wide)
    return kind is Kind.SUFFIX and other is Kind.SUFFIX and literal.endswith(text)


def _prefix_of(wide: str, head: str) -> bool:
    kind, literal = parse_value(wide)
    return kind is Kind.PREFIX and head.startswith(literal)


def disjoint(one: str, other: str) -> bool:
    """True when surely no path is matched by both."""
    if is_template(one) or is_template(other):
        return False
    (kind, text), (other_kind, other_text) = parse_value(one), parse_value(other)
    if kind is Kind.EXACT:
        return not compile_path(other)(text)
    if other_kind is Kind.EXACT:
        return not compile_path(one)(other_text)
    if kind is Kind.PREFIX and other_kind is Kind.PREFIX:
        return not (text.startswith(other_text) or other_text.startswith(text))
    return False


def host_covers(wide: str, narrow: str) -> bool:
    """The same for hosts of routes."""
    if wide == "*" or wide.lower() == narrow.lower():
        return True
    return wide.startswith("*.") and narrow.lower().endswith(wide[1:].lower()) and narrow != "*"
