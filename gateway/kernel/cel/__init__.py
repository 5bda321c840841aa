"""CEL: the subset that policy is written in, compiled to closures (docs/decisions/007-cel.md)."""

from gateway.kernel.cel.compile import Part, Program, compile_condition
from gateway.kernel.cel.environment import Field, Record, Run, Variables, always, record
from gateway.kernel.cel.syntax import CelInvalid
from gateway.kernel.cel.times import observed_at, timestamp_of_seconds
from gateway.kernel.cel.values import Failure, Kind

__all__ = [
    "CelInvalid",
    "Failure",
    "Field",
    "Kind",
    "Part",
    "Program",
    "Record",
    "Run",
    "Variables",
    "always",
    "compile_condition",
    "observed_at",
    "record",
    "timestamp_of_seconds",
]
