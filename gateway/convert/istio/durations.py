"""Durations as Kubernetes writes them (`1h30m`, `500ms`), into those of ours: one number and one unit.

Source: Go, time.ParseDuration; protobuf's Duration in JSON.
"""

import re

from gateway.config.schema.units import in_words

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> str:
    """The same time, rounded to milliseconds. Raises ValueError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'"{text}" is no duration')
    return in_words(round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 3))
