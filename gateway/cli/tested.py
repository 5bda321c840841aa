"""How `gateway test` tells its results: a line a test for people, one JSON document, JUnit for CI.

What failed stands with what was expected, what came, and the line that decided.
All three are made from the same suite.
"""

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from gateway.cli.explanation import place
from gateway.cli.output import paint
from gateway.control.policy_tests import Coverage, Suite, Tested

_NOTHING = "nothing"
_NOT_XML = {code: "�" for code in range(32) if code not in (9, 10, 13)}


def document(suite: Suite) -> Mapping[str, object]:
    """The JSON shape of contract section 10."""
    failed = sum(1 for tested in suite.tested if tested.different)
    return {
        "passed": len(suite.tested) - failed,
        "failed": failed,
        "tests": [_test(tested) for tested in suite.tested],
        "coverage": {
            "percent": suite.percent,
            "other_side": suite.other_side,
            "rules": [_rule(rule) for rule in suite.coverage],
        },
    }


def _test(tested: Tested) -> Mapping[str, object]:
    actual: dict[str, object] = {**tested.actual, "where": place(tested.verdict.where)}
    if tested.verdict.at_handshake:
        actual["at"] = "handshake"
    return {
        "name": tested.test.name,
        "file": tested.test.where.file,
        "line": tested.test.where.line,
        "passed": not tested.different,
        "expected": tested.test.expect.given(),
        "actual": actual,
    }


def _rule(rule: Coverage) -> Mapping[str, object]:
    return {
        "rule": rule.rule,
        "route": rule.route,
        "where": place(rule.where),
        "hits": rule.hits,
        "misses": rule.misses,
    }


def show(suite: Suite, took: float) -> None:
    """Print the page for people. `took`: seconds."""
    for tested in suite.tested:
        different = tested.different
        print(f"{paint('FAIL', 'red') if different else paint('ok  ', 'green')} {tested.test.name}")
        if different:
            print(f"     {tested.test.where}")
            for line in _differences(tested, different):
                print(f"     {line}")
    _show_coverage(suite)
    failed = sum(1 for tested in suite.tested if tested.different)
    passed = len(suite.tested) - failed
    counts = f"{passed} passed" + (f", {paint(f'{failed} failed', 'red')}" if failed else "")
    covered = (
        f"{suite.percent:g}% of {len(suite.coverage)} rules covered, {suite.other_side:g}% where they do not match"
    )
    print(f"\n{counts}, {covered}, in {took:.2f} s")


def _differences(tested: Tested, different: list[str]) -> list[str]:
    expected, actual, verdict = tested.test.expect.given(), tested.actual, tested.verdict
    lines = [f"{key}: {_text(expected[key])} was expected, it is {_text(actual[key])}" for key in different]
    if "status" in different and actual["status"] is None:
        lines.append("an allowed request has the status that its backend answers")
    detail = verdict.refused.detail if verdict.refused is not None else ""
    came = " ".join(str(value) for value in (actual["effect"], actual["reason"]) if value is not None)
    deciding = f" by {verdict.rule}" if verdict.rule is not None else ""
    lines.append(f"{came}{deciding}{f' ({detail})' if detail else ''} {place(verdict.where) or ''}".rstrip())
    for judged in verdict.nearest[:1]:
        lines += [f"nearest: {judged.rule.name}: {missing}" for missing in judged.missing]
    return lines


def _text(value: object) -> str:
    return _NOTHING if value is None else str(value)


def _show_coverage(suite: Suite) -> None:
    for title, rules in (
        ("rules that no test matched", [rule for rule in suite.coverage if not rule.hits]),
        ("rules that no test failed to match", [rule for rule in suite.coverage if rule.hits and not rule.misses]),
    ):
        if rules:
            print(f"\n{title}")
            for rule in rules:
                name = rule.rule if rule.route is None else f"{rule.route}: {rule.rule}"
                print(f"  {name}  {paint(place(rule.where) or '', 'dim')}".rstrip())


def junit(suite: Suite, took: float) -> str:
    """The suite as JUnit XML, as CI systems read it. `took`: seconds."""
    failed = sum(1 for tested in suite.tested if tested.different)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="gateway policy" tests="{len(suite.tested)}" failures="{failed}" time="{took:.3f}">',
    ]
    for tested in suite.tested:
        where = tested.test.where
        head = (
            f"  <testcase name={_attribute(tested.test.name)} classname={_attribute(where.file)}"
            f' file={_attribute(where.file)} line="{where.line}"'
        )
        different = tested.different
        if not different:
            lines.append(f"{head}/>")
            continue
        lines.append(f"{head}>")
        lines.append(f"    <failure message={_attribute('; '.join(_differences(tested, different)))}/>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _attribute(text: str) -> str:
    return quoteattr(text.translate(_NOT_XML))
