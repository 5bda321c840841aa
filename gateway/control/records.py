"""Decisions out of an audit log, and what each says of its request: no more than what was written.

A name that the rules of that time did not ask for was not written, absent or not; a digest or a cut value is no value.
Files are read as streams. Whether a log is genuine is for `gateway audit verify` to say.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from gateway.control.evidence import CannotJudge
from gateway.model.connection import IPAddress
from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.place import Place

_address = lru_cache(1 << 16)(ip_address)  # takes longer than the rest of a record together
_loads = json.JSONDecoder().decode
_READ = (b'{"type":"decision"', b'{"type":"config"')
_CONFIG = b',"config":"'
_HIDDEN = "hmac-sha256:"
_CUT: Final = 253  # bytes: a value of this length may have been cut at 256, between two characters
_LONGEST_PATH: Final = 2048


@noun
class Decision:
    """One `decision` record. What is null there is None here."""

    stream: str
    seq: int
    time: float  # seconds since 1970
    request_id: str
    effect: str
    reason: str | None
    listener: str | None  # None: written before records named it
    route: str | None
    rule: str | None
    issuer: str | None
    subject: str | None
    workload: str | None
    client_ip: IPAddress
    method: str
    host: str | None
    path: str
    config: str
    inputs: Mapping[str, Any]
    shadows: tuple[str, ...]
    audited: tuple[str, ...]

    @property
    def principal(self) -> str:
        """The user, else the workload, else the client address."""
        if self.subject is not None:
            return f"{self.issuer}/{self.subject}"
        return self.workload if self.workload is not None else str(self.client_ip)

    @property
    def allowed(self) -> bool:
        """True for the effect allow."""
        return self.effect == "allow"

    @property
    def cut(self) -> bool:
        """True when the path may have been longer than what was written."""
        return len(self.path) >= _LONGEST_PATH

    def group(self, name: str) -> Mapping[str, JSON]:
        """The recorded `headers`, `claims` or `device` facts."""
        found = self.inputs.get(name)
        return found if isinstance(found, dict) else {}


def readable(value: JSON) -> bool:
    """True for a recorded value that is the whole value itself."""
    if isinstance(value, str):
        return not value.startswith(_HIDDEN) and (len(value) < 64 or len(value.encode()) < _CUT)
    return True


def audit_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given, and the segments of directories in the order of their names. Raises CannotJudge."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            segments = sorted(path.glob("*.jsonl"))
            if not segments:
                raise CannotJudge(
                    f"{path}: holds no audit log (files named STREAM-NNNNNN.jsonl)", Place(str(path), 0, 0)
                )
            found += segments
        else:
            found.append(path)
    return found


def decisions(files: Iterable[Path]) -> Iterator[Decision]:
    """Every decision, file by file. Raises CannotJudge for a line that is no record, OSError."""
    for record in _records(files, ()):
        if isinstance(record, Decision):
            yield record


def input_names(files: Iterable[Path]) -> "InputNames":
    """What the records of the files show at all. Raises as `decisions` does."""
    names = InputNames()
    told: set[bytes] = set()  # configs that say so themselves: their decisions need not be read for it
    for record in _records(files, told):
        if isinstance(record, Decision):
            names.learn(record)
        elif isinstance(record.get("inputs"), dict):
            told.add(record["config"].encode())
            for route, shown in record["inputs"].items():
                names.add(record["config"], route, shown["headers"], shown["claims"])
    return names


def _records(files: Iterable[Path], told: Collection[bytes]) -> Iterator[Decision | dict[str, Any]]:
    """Decisions, less those of the configs in `told`, and records of configs."""
    for file in files:
        with file.open("rb", buffering=1 << 20) as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith(b'{"type":"') and not line.startswith(_READ):
                    continue
                if told and line[line.rfind(_CONFIG) + len(_CONFIG) :].partition(b'"')[0] in told:
                    continue
                try:
                    record = _loads(line.decode())
                    if record["type"] == "decision":
                        yield _decision(record)
                    elif record["type"] == "config":
                        yield record
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    if line.endswith(b"\n"):  # the last line of a log at work may be on its way
                        raise CannotJudge("it is no audit record", Place(str(file), number, 1)) from None


def _decision(record: dict[str, Any]) -> Decision:
    user = record.get("user") or {}
    return Decision(
        record.get("stream", ""),
        record.get("seq", 0),
        datetime.fromisoformat(record["time"]).timestamp() if "time" in record else 0.0,
        record["request_id"],
        record["effect"],
        record.get("reason"),
        record.get("listener"),
        record.get("route"),
        record.get("rule"),
        user.get("issuer"),
        user.get("subject"),
        record.get("workload"),
        _address(record["client_ip"]),
        record["method"],
        record.get("host"),
        record["path"],
        record.get("config") or "",
        record.get("inputs") or {},
        tuple(each["name"] for each in record.get("shadow") or () if each["kind"] == "rule"),
        tuple(record.get("audited") or ()),
    )


@dataclass(slots=True)
class InputNames:
    """Which headers and claims the records of a route name, by the config that wrote them.

    A `config` record says so; and what one record of a route shows, every record of it under that config would have
    shown. There absence is known.
    """

    _names: dict[tuple[str, str | None], tuple[set[str], set[str]]] = field(default_factory=dict)

    def learn(self, decision: Decision) -> None:
        """Take note of what a record shows."""
        if decision.inputs:
            headers, claims = self._of(decision.config, decision.route)
            headers.update(decision.group("headers"))
            claims.update(decision.group("claims"))

    def add(self, config: str, route: str, headers: Iterable[str], claims: Iterable[str]) -> None:
        """Take note of what the records of a known config show."""
        known_headers, known_claims = self._of(config, route)
        known_headers.update(headers)
        known_claims.update(claims)

    def header(self, decision: Decision, name: str) -> bool:
        """True when the decision's record would show the header, were it there."""
        return name in self._of(decision.config, decision.route)[0]

    def claim(self, decision: Decision, name: str) -> bool:
        """The same of a claim, by its path joined with dots."""
        return name in self._of(decision.config, decision.route)[1]

    def _of(self, config: str, route: str | None) -> tuple[set[str], set[str]]:
        return self._names.setdefault((config, route), (set(), set()))
