"""Everything that `gateway demo --check` walks, and what each check found.

Rule: a check that cannot be carried out has failed.
Invariant: a case's check and its curl line are the same request.
"""

import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict, dataclass

from gateway.cli.demo import browser
from gateway.cli.demo.cases import CASES, Case
from gateway.cli.demo.place import Place
from gateway.testing.client import Answer


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    name: str
    title: str
    expected: str
    actual: str
    passed: bool

    def document(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


_Walk = Callable[[Place], Awaitable[None]]
_BROWSER: tuple[tuple[str, str, str, _Walk], ...] = (
    (
        "browser-login",
        "a page logs in with PKCE and calls from another origin",
        "read 200, write 403, no token 401",
        browser.log_in_and_call,
    ),
    ("browser-other-origin", "a page of somewhere else asks", "403 cors_refused", browser.other_origin),
)
_FAILURES = (OSError, ssl.SSLError, EOFError, TimeoutError, ValueError, KeyError)


async def try_case(case: Case, place: Place) -> tuple[Finding, Answer | None]:
    """Send one case; what was found, and the answer itself if there was one."""
    answer = None
    try:
        answer = await case.send(place)
        wrong = case.judge(answer)
    except _FAILURES as failure:
        wrong = f"no answer: {failure!r}"
    return Finding(case.name, case.title, case.expected, wrong or case.expected, wrong is None), answer


async def walk(place: Place) -> AsyncGenerator[Finding]:
    """Every check, in order."""
    for case in CASES:
        yield (await try_case(case, place))[0]
    for name, title, expected, steps in _BROWSER:
        try:
            await steps(place)
            wrong = None
        except browser.Wrong as seen:
            wrong = str(seen)
        except _FAILURES as failure:
            wrong = f"no answer: {failure!r}"
        yield Finding(name, title, expected, wrong or expected, wrong is None)


def audit(place: Place) -> Finding:
    """Verify the audit log that all of it left, with the command that a user would use."""
    key = place.folder / "certs" / "audit.pub"
    command = [sys.executable, "-m", "gateway", "audit", "verify", str(place.folder / "audit"), "--key", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    last = said[-1] if said else "(nothing)"
    passed = done.returncode == 0
    return Finding("audit-verify", "the audit log of all this holds", "0", "0" if passed else last, passed)
