"""The console: the status of a gateway as one page, for people.

Nothing on it is active, and nothing of it comes from elsewhere.
Invariant: every text is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape

from gateway.admin.source import Check
from gateway.model.json import JSON


def page(checks: Sequence[Check], status: JSON) -> str:
    """The whole page."""
    ready = all(check.ok for check in checks if check.needed)
    rows = "".join(map(_row, checks))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>gateway</title></head>\n'
        f"<body><h1>gateway: {'ready' if ready else 'not ready'}</h1>\n<table>\n{rows}</table>\n{_shown(status)}\n"
        "</body></html>\n"
    )


def _row(check: Check) -> str:
    cells = ("ok" if check.ok else "not ok", check.name, check.detail)
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"


def _shown(value: JSON) -> str:
    if isinstance(value, Mapping):
        terms = "".join(f"<dt>{escape(name)}</dt><dd>{_shown(one)}</dd>\n" for name, one in value.items())
        return f"<dl>\n{terms}</dl>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "<ul>\n" + "".join(f"<li>{_shown(one)}</li>\n" for one in value) + "</ul>" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else escape(str(value))
