"""`gateway review AUDIT…`: rules never used, callers that use far less than they may, who STRICT would break.

What was recorded is all that it knows: suggestions are for people to judge.
Exit code 0, whatever is found; 2 cannot tell.
"""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from textwrap import indent

from gateway.cli.explanation import place
from gateway.cli.output import CannotTell, note, paint, print_json
from gateway.config.grants import load_with_grants
from gateway.control.evidence import CannotJudge
from gateway.control.records import audit_files, decisions
from gateway.control.review import OverPrivileged, Review, Suggestion, Unused, WouldBreak

_SHOWN = 20  # callers of a kind, on the page for people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What was recorded."""
    parser.add_argument(
        "--patch", metavar="FILE", help="write the suggestions as a patch of the config, for `patch -p1`"
    )
    parser.add_argument("audit", metavar="AUDIT", nargs="+", type=Path, help="audit files, or directories of them")


def run(args: argparse.Namespace) -> int:
    """Review. Raises CannotTell, ConfigInvalid, ConfigUnreadable, OSError."""
    review = Review(load_with_grants(Path(args.config)))
    try:
        review.learn(decisions(audit_files(args.audit)))
    except CannotJudge as error:
        raise CannotTell(str(error), error.where) from None
    if args.patch is not None:
        _patch(Path(args.config), Path(args.patch), review)
    if args.json:
        print_json(_document(review))
    elif review.decisions:
        _show(review)
    else:
        print("no decision is recorded there: nothing can be said")
    return 0


def _patch(config: Path, file: Path, review: Review) -> None:
    from gateway.cli.review_patch import patch

    text, left = patch(config, review.suggestions())
    file.write_text(text, encoding="utf-8")
    for each in left:
        note(f"{each.where}: not in the patch: {each.rule} holds a variable or an anchor")


def _document(review: Review) -> Mapping[str, object]:
    return {
        "unused_rules": [_unused(each) for each in review.unused()],
        "over_privileged": [_over(each) for each in review.over_privileged()],
        "strict_would_break": [_break(each) for each in review.would_break()],
        "suggestions": [_suggestion(each) for each in review.suggestions()],
    }


def _unused(each: Unused) -> Mapping[str, object]:
    return {
        "rule": each.rule,
        "route": each.route,
        "action": each.action,
        "mode": each.mode,
        "where": place(each.where),
    }


def _over(each: OverPrivileged) -> Mapping[str, object]:
    return {
        "principal": each.principal,
        "route": each.route,
        "rule": each.rule,
        "where": place(each.where),
        "granted": list(each.granted),
        "used": list(each.used),
        "requests": each.requests,
    }


def _break(each: WouldBreak) -> Mapping[str, object]:
    return {
        "listener": each.listener,
        "principal": each.principal,
        "since": _time(each.since),
        "last": _time(each.last),
        "requests": each.requests,
        "routes": sorted(each.routes),
    }


def _suggestion(each: Suggestion) -> Mapping[str, object]:
    return {
        "route": each.route,
        "rule": each.rule,
        "where": place(each.where),
        "why": each.why,
        "requests": each.requests,
        "yaml": each.yaml,
    }


def _show(review: Review) -> None:
    print(f"{review.decisions} decisions, {_time(review.first)} to {_time(review.last)}")
    unused = review.unused()
    _title("rules never used", len(unused))
    for rule in unused:
        name = rule.rule if rule.route is None else f"{rule.route}: {rule.rule}"
        print(f"  {rule.action:<5} {name}  {paint(place(rule.where) or '', 'dim')}".rstrip())
    over = review.over_privileged()
    _title("callers that use far less than they may", len(over))
    for each in over[:_SHOWN]:
        used = f"{', '.join(each.used)} of {', '.join(each.granted)}, {each.requests} requests"
        print(f"  {each.principal}\n    {paint(f'{each.route}: {each.rule}: {used}', 'dim')}")
    _more(len(over))
    _show_breaks(review)
    suggestions = review.suggestions()
    _title("tighter rules", len(suggestions))
    for suggestion in suggestions:
        print(f"  # {suggestion.route}, in the place of {place(suggestion.where)}: {suggestion.why}")
        print(indent(suggestion.yaml, "  "))


def _show_breaks(review: Review) -> None:
    breaks = review.would_break()
    _title("who would break under client_certificate: required", len(breaks))
    for listener, group in groupby(breaks, lambda each: each.listener):
        callers = list(group)
        since = min(each.since for each in callers)
        print(f"  {listener}: {paint('not ready', 'red')}, {len(callers)} without a certificate since {_time(since)}")
        for each in callers[:_SHOWN]:
            routes = ", ".join(sorted(each.routes))
            print(f"    {each.requests:>6}  {each.principal}  {paint(f'{routes}, last {_time(each.last)}', 'dim')}")
        _more(len(callers))
    for listener in review.ready():
        print(f"  {listener}: {paint('ready', 'green')}, everybody who came showed a certificate")


def _title(text: str, count: int) -> None:
    print(f"\n{paint(text, 'bold')}{'' if count else ': none'}")


def _more(count: int) -> None:
    if count > _SHOWN:
        print(f"    … and {count - _SHOWN} more: --json has all")


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
