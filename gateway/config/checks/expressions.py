"""CEL in the file: each expression compiles, and a fault in one has its own line and column."""

from collections.abc import Callable

from gateway.config.checks.report import Report
from gateway.config.plain import Expression
from gateway.config.problem import Problem
from gateway.config.tree import Path
from gateway.kernel.cel import CelInvalid


def judge_expression(report: Report, path: Path, text: str, compiled: Callable[[str], object]) -> None:
    """Compile `text`; what is wrong is told at its character, where the file holds the expression letter by letter."""
    try:
        compiled(text)
    except CelInvalid as fault:
        written = report.value(path)
        where = written.place(fault.line, fault.column) if isinstance(written, Expression) else None
        if where is None:
            report.error(path, str(fault))
        else:
            report.errors.append(Problem(where, fault.message))
