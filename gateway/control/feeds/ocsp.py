"""What OCSP responders say of client certificates (RFC 6960): asked when it is needed, and remembered.

Rule: one question in flight a certificate; an answer is asked for anew after `refresh`, and while none can be had the
last one counts until it ends by itself, `max_stale` at most.
Invariant: an answer never takes the place of a newer one; who is down is asked with a growing pause, and never makes a
certificate good, nor bad.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from gateway.control.feeds.fetch import Fetcher, FetchError, NotServedError
from gateway.kernel.cells import Metrics
from gateway.kernel.egress import Egress
from gateway.kernel.x509.ocsp import LONGEST, Status, StatusQuestion, StatusRules, encode, read_answer, responder_of
from gateway.model.reason import Reason
from gateway.model.refused import Refused

log = logging.getLogger(__name__)

_TOTAL = 5.0  # seconds for all of an answer
_AT_ONCE = 32  # questions on their way; others wait for their turn within the same time
_EARLY = 0.8  # of `refresh`: from then on who asks is answered at once, and a new answer is fetched beside
_UNKNOWN = 10.0  # seconds after which a certificate that its responder does not know is asked about again
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 5.0  # seconds, doubled at each failure
_SPARED = 1.0  # seconds that a responder which did not answer is asked nothing at all
_RETRY_AFTER = 1  # seconds
_NOT_YET = "its responder was not asked yet"
_REQUEST, _RESPONSE = "application/ocsp-request", "application/ocsp-response"


class _SparedError(ValueError):
    """The responder did not answer a moment ago."""


class _Held:
    """What is known of one certificate."""

    __slots__ = ("anew", "early", "ends", "failures", "flight", "retry", "status", "trouble")

    def __init__(self) -> None:
        self.status: Status | None = None
        self.early = 0.0  # when it is asked about again, beside; seconds since the epoch, like the others
        self.anew = 0.0  # when who asks waits for that
        self.ends = 0.0  # when the answer counts no longer
        self.failures = 0
        self.retry = 0.0  # not asked about before
        self.trouble = _NOT_YET
        self.flight: asyncio.Task[None] | None = None

    def counts(self, now: float) -> bool:
        status = self.status
        return status is not None and status.begins <= now < self.ends


class StatusFeed:
    """Asks, and remembers. One for a process, whatever is configured. Fulfils the stage's StatusSource."""

    def __init__(
        self, metrics: Metrics | None = None, *, clock: Callable[[], float] = time.time, capacity: int = 8192
    ) -> None:
        """`clock`: wall clock, seconds since the epoch; `capacity`: certificates that are remembered."""
        self._requests = (metrics or Metrics()).ocsp_requests
        self._clock = clock
        self._capacity = capacity
        self._held: dict[bytes, _Held] = {}
        self._fetchers: dict[tuple[StatusRules, str], Fetcher] = {}
        self._spared: dict[str, float] = {}  # until when, by URL
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.troubles: dict[str, str] = {}  # what cannot be asked, by the authority's name, for /readyz?verbose
        self.revoked = object()  # another one when a certificate is found to be revoked: open streams are judged again

    def __repr__(self) -> str:
        return f"StatusFeed({len(self._held)} certificates, {len(self.troubles)} troubles)"

    def start(self) -> None:
        """Load what asks ahead of the first request, which would wait for it, and every other one with it."""
        import gateway.control.feeds.transport  # noqa: F401

    def check(self, question: StatusQuestion, now: float) -> None:
        """Raises Refused: CERTIFICATE_REVOKED, or KEYS_UNAVAILABLE where nothing that counts is known."""
        held = self._held.get(question.key)
        status = held.status if held is not None else None
        if status is not None and status.revoked:  # however old that is
            raise Refused(Reason.CERTIFICATE_REVOKED, "its issuer's responder (OCSP) says that it is revoked")
        if held is not None and status is not None and held.counts(now):
            if status.known:
                return
            detail = "its issuer's responder (OCSP) does not know the certificate"
            raise Refused(Reason.KEYS_UNAVAILABLE, detail, retry_after=int(_UNKNOWN))
        if question.rules.required:
            why = held.trouble if held is not None else _NOT_YET
            detail = f"whether it is revoked is not known (OCSP): {why}"
            raise Refused(Reason.KEYS_UNAVAILABLE, detail, retry_after=_RETRY_AFTER)

    def asking(self, questions: Sequence[StatusQuestion], now: float) -> Awaitable[None] | None:
        """To wait for before `check` can say all that is to be had; None where there is nothing to wait for."""
        flights: set[asyncio.Task[None]] = set()
        for question in questions:
            held = self._held.get(question.key)
            if held is not None and held.counts(now) and now < held.early:
                continue
            held = held if held is not None else self._remember(question)
            if held.flight is None and now >= held.retry:
                held.flight = asyncio.get_running_loop().create_task(self._fly(question, held))
            if held.flight is not None and not (held.counts(now) and now < held.anew):
                flights.add(held.flight)
        return _all(flights) if flights else None

    async def close(self) -> None:
        """Ask nobody any more; what is known stays."""
        flights = [held.flight for held in self._held.values() if held.flight is not None]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _remember(self, question: StatusQuestion) -> _Held:
        if len(self._held) >= self._capacity:
            oldest = next(iter(self._held))
            gone = self._held.pop(oldest)
            if gone.flight is not None:
                gone.flight.cancel()
        held = self._held[question.key] = _Held()
        return held

    async def _fly(self, question: StatusQuestion, held: _Held) -> None:
        try:
            async with asyncio.timeout(_TOTAL):  # noqa: TID251 - a network's time; 3.11's wait_for can lose a cancellation
                status = await self._ask(question, held.status)
        except _SparedError as error:
            held.trouble, held.retry = str(error), self._clock() + _FIRST_RETRY
        except TimeoutError:
            self._failed(question, held, f"no answer within {_TOTAL:g} s")
        except (ValueError, OSError, FetchError) as error:
            self._failed(question, held, str(error))
        except Exception as error:
            log.exception("a certificate could not be asked about (OCSP)")
            self._failed(question, held, f"a fault of the gateway's own: {type(error).__name__}")
        else:
            self._succeeded(question, held, status)
        finally:
            held.flight = None

    async def _ask(self, question: StatusQuestion, before: Status | None) -> Status:
        """One question. Raises ValueError, OSError, FetchError."""
        url, rules = responder_of(question), question.rules
        fetcher = self._fetcher(url, rules)
        async with self._turns:
            if self._clock() < self._spared.get(url, 0.0):
                raise _SparedError(f"{urlsplit(url).hostname} did not answer a moment ago")
            request, nonce = encode(question)
            try:
                document = await fetcher.post(url, request, _REQUEST)
            except (FetchError, asyncio.CancelledError) as error:
                if not isinstance(error, NotServedError) or error.status >= 500:
                    self._spare(url)
                raise
        status = read_answer(question, document.body, nonce, self._clock())
        if before is not None and status.made < before.made:
            raise ValueError("the answer is older than one that was had before")
        return status

    def _spare(self, url: str) -> None:
        now = self._clock()
        self._spared = {other: until for other, until in self._spared.items() if until > now}
        self._spared[url] = now + _SPARED

    def _fetcher(self, url: str, rules: StatusRules) -> Fetcher:
        """What may connect to `url`. Raises ValueError where a certificate names a host that the file does not."""
        host = (urlsplit(url).hostname or "").lower()
        if rules.responder is None and rules.hosts and host not in rules.hosts:
            raise ValueError(f"the certificate names a responder at {host or 'no host'}, which is none of `hosts`")
        fetcher = self._fetchers.get((rules, host))
        if fetcher is None:
            if len(self._fetchers) >= _AT_ONCE:
                self._fetchers.clear()
            named = {host} if rules.responder is not None else set(rules.hosts)
            fetcher = Fetcher(Egress(frozenset(named)), rules.ca, total=_TOTAL, limit=LONGEST, accept=_RESPONSE)
            self._fetchers[rules, host] = fetcher
        return fetcher

    def _succeeded(self, question: StatusQuestion, held: _Held, status: Status) -> None:
        now, rules = self._clock(), question.rules
        news = status.revoked and (held.status is None or not held.status.revoked)
        held.status, held.failures, held.retry = status, 0, 0.0
        life = rules.refresh if status.known else min(rules.refresh, _UNKNOWN)
        held.early, held.anew = now + _EARLY * life, now + life
        held.ends = min(status.ends, now + max(rules.max_stale, rules.refresh))
        result = "revoked" if status.revoked else "good" if status.known else "unknown"
        self._requests.labels(question.authority, result).inc()
        if self.troubles.pop(question.authority, None) is not None:
            log.info("the responder (OCSP) of %s answers again", question.authority)
        if news:
            self.revoked = object()

    def _failed(self, question: StatusQuestion, held: _Held, why: str) -> None:
        held.failures += 1
        held.retry = self._clock() + min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(held.failures - 1, 10))
        held.trouble = why
        self._requests.labels(question.authority, "failure").inc()
        if question.authority not in self.troubles:
            log.warning("certificates of %s cannot be asked about (OCSP): %s", question.authority, why)
        self.troubles[question.authority] = why


async def _all(flights: set[asyncio.Task[None]]) -> None:
    """Who waits and goes away ends no question: others may wait for it too."""
    await asyncio.wait(flights)
