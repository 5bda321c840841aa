"""Whether what lies in files is what is at work, or an older self of it that is kept because the new one is no good.

Rule: what cannot be used is said three times: in the log, in a metric, and in /readyz?verbose until it is mended.
Invariant: names and roles come from the config; a text holds paths and causes, never a key.
"""

import logging
from collections.abc import Mapping

from gateway.kernel.cells import Metrics

log = logging.getLogger(__name__)

# Roles
LISTENER = "listener"
IDENTITY = "identity"
BUNDLE = "bundle"  # of a trust domain or client authority, with its revocation lists
CRL = "crl"  # only for the end: nextUpdate
UPSTREAM = "upstream"  # what its backends are judged by
ASSERTION = "assertion"  # the keys of what backends are told


class FileHealth:
    """What became of the files of one worker, by role and name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._troubles: dict[tuple[str, str], str] = {}
        self.loud = True  # of several workers that read the same file one says so in the log

    def __repr__(self) -> str:
        return f"FileHealth({len(self._troubles)} troubles)"

    @property
    def troubles(self) -> Mapping[tuple[str, str], str]:
        """What keeps an older self at work, and why."""
        return self._troubles

    def took(self, role: str, name: str) -> None:
        """The file was read and is at work."""
        self._metrics.certificate_reloads.labels(role, name, "success").inc()
        self._troubles.pop((role, name), None)
        if self.loud:
            log.info("%s %s: read again and at work", role, name)

    def kept(self, role: str, name: str, why: str) -> None:
        """The file cannot be used: the last good one stays in force."""
        self._metrics.certificate_reloads.labels(role, name, "failure").inc()
        self._troubles[role, name] = why
        if self.loud:
            log.error("%s %s: %s; the last good one stays in force", role, name, why)

    def missing(self, role: str, name: str, why: str) -> None:
        """There is none yet, and it cannot be had: what needs it is answered 503."""
        self._metrics.certificate_reloads.labels(role, name, "failure").inc()
        self._troubles[role, name] = why
        if self.loud:
            log.warning("%s %s: %s; what needs it is answered 503 until it is there; retrying", role, name, why)

    def ends(self, role: str, name: str, when: float) -> None:
        """What is at work ends then: seconds since the epoch."""
        self._metrics.certificate_expiry.labels(role, name).set(when)

    def forget(self, known: set[tuple[str, str]]) -> None:
        """The config has no others than these."""
        self._metrics.certificate_expiry.keep(set(known))
        for gone in self._troubles.keys() - known:
            del self._troubles[gone]
