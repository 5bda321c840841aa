"""`gateway replay AUDIT…`: recorded decisions judged again under this config, and every one that flips.

What hangs on something that was not recorded is listed as undecidable, never guessed.
Exit code 0 nothing flips, 1 something does, 2 cannot tell.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli.explanation import place
from gateway.cli.output import CannotTell, paint, print_json
from gateway.config.grants import load_with_grants
from gateway.config.schema import Config
from gateway.control.evidence import CannotJudge
from gateway.control.records import audit_files
from gateway.control.replay import Judged, judge_all

_SHOWN = 10  # groups of a kind, and ids of a group, on the page for people


@dataclass(slots=True)
class _Replayed:
    judged: int = 0
    flips: list[Judged] = field(default_factory=list)
    undecidable: list[Judged] = field(default_factory=list)

    @property
    def same(self) -> int:
        return self.judged - len(self.flips) - len(self.undecidable)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What was recorded."""
    parser.add_argument("audit", metavar="AUDIT", nargs="+", type=Path, help="audit files, or directories of them")


def run(args: argparse.Namespace) -> int:
    """Replay. Raises CannotTell, ConfigInvalid, ConfigUnreadable, OSError."""
    config = load_with_grants(Path(args.config))
    found = _Replayed()
    try:
        # Nothing is returned: asyncio would write what a task returned into a text that nobody reads, for seconds.
        asyncio.run(_replay(config, audit_files(args.audit), found))
    except CannotJudge as error:
        raise CannotTell(str(error), error.where) from None
    if args.json:
        print_json(
            {
                "judged": found.judged,
                "same": found.same,
                "flips": [_flip(each) for each in found.flips],
                "undecidable": [{**_request(each), "why": each.why} for each in found.undecidable],
            }
        )
    else:
        _show(found)
    return 1 if found.flips else 0


async def _replay(config: Config, files: list[Path], found: _Replayed) -> None:
    async for judged in judge_all(config, files):
        found.judged += 1
        if judged.answer is None:
            found.undecidable.append(judged)
        elif judged.answer.allowed is not judged.decision.allowed:
            found.flips.append(judged)


def _request(judged: Judged) -> Mapping[str, object]:
    decision = judged.decision
    return {
        "request_id": decision.request_id,
        "stream": decision.stream,
        "seq": decision.seq,
        "principal": decision.principal,
        "method": decision.method,
        "path": decision.path,
        "route": decision.route,
        "from": decision.effect,
    }


def _flip(judged: Judged) -> Mapping[str, object]:
    answer = judged.answer
    assert answer is not None  # noqa: S101 - what flips was judged
    return {
        **_request(judged),
        "route": answer.route or judged.decision.route,
        "to": answer.effect,
        "reason": answer.reason,
        "rule": answer.rule,
        "where": place(answer.where),
    }


def _show(found: _Replayed) -> None:
    """The page for people: flips by direction, route and principal; what is undecidable by what it lacks."""
    for allowed, title, colour in ((False, "now refused", "red"), (True, "now allowed", "yellow")):
        flips = [each for each in found.flips if each.answer is not None and each.answer.allowed is allowed]
        if flips:
            print(f"{paint(title, colour)}: {len(flips)}")
            _groups(flips)
    if found.undecidable:
        print(f"{paint('undecidable', 'blue')}: {len(found.undecidable)}")
        for why, count in _largest(each.why for each in found.undecidable):
            print(f"  {count:>7}  {why}")
        print()
    verdict = paint("nothing flips", "green") if not found.flips else paint(f"{len(found.flips)} flip", "red")
    print(f"{found.judged} decisions judged again: {found.same} the same, {verdict}")


def _groups(flips: Iterable[Judged]) -> None:
    groups: dict[tuple[str, ...], list[Judged]] = defaultdict(list)
    for each in flips:
        answer = each.answer
        assert answer is not None  # noqa: S101 - as above
        route = answer.route or each.decision.route or "no route"
        by = answer.rule or answer.reason or "public"
        groups[route, by, place(answer.where) or "", each.decision.principal].append(each)
    told: tuple[str, ...] = ()
    for key in sorted(groups, key=lambda key: (key[:3], -len(groups[key])))[: _SHOWN * _SHOWN]:
        if key[:3] != told:
            told = key[:3]
            print(f"  {key[0]}: {key[1]}  {paint(key[2], 'dim')}".rstrip())
        members = groups[key]
        first = members[0].decision
        print(f"    {len(members):>5}  {key[3]}  {paint(f'{first.method} {first.path}  {first.request_id}', 'dim')}")
    if len(groups) > _SHOWN * _SHOWN:
        print(f"    … and {len(groups) - _SHOWN * _SHOWN} more callers: --json has all")
    print()


def _largest(texts: Iterable[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = defaultdict(int)
    for text in texts:
        counts[text] += 1
    return sorted(counts.items(), key=lambda each: -each[1])[:_SHOWN]
