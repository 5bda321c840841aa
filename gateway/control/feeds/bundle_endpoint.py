"""A trust domain's bundle from its SPIFFE bundle endpoint (SPIFFE Federation sections 5 and 6).

Rule: the endpoint proves itself by a certificate for its name (`https_web`), or by an SVID of its trust domain
(`https_spiffe`), before a byte of the bundle is read; fetched at the pace that the bundle hints at.
Invariant: what is older than what was had, or cannot be read whole, changes nothing; no authorities is an answer.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.feeds.bundle import BundleDocument, parse_bundle
from gateway.control.feeds.fetch import Fetcher
from gateway.control.feeds.kept import KeptKeys
from gateway.control.feeds.shared_fetch import SharedFetch
from gateway.control.feeds.watch import FileWatch
from gateway.control.health import BUNDLE, FileHealth
from gateway.kernel.egress import Egress
from gateway.kernel.x509.spiffe import parse_spiffe_id
from gateway.kernel.x509.trust import parse_certificates
from gateway.upstreams.identity import verified_context

log = logging.getLogger(__name__)

_PACE = 300.0  # seconds between fetches where the bundle does not hint
_SHORTEST_PACE, _LONGEST_PACE = 1.0, 3600.0
_FOREVER = float("inf")

OnBundle = Callable[[tuple[x509.Certificate, ...]], None]


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What a feed hangs on: two that are equal are one bundle over a reload."""

    url: str
    ca: Path | None  # https_web: a private authority of the endpoint's certificate; None: the system's
    spiffe_id: str | None  # https_spiffe: who the endpoint is; None: https_web
    bootstrap: Path | None  # https_spiffe: the authorities of its trust domain, to begin with
    state: Path | None  # directory for the last good bundle; None: it is neither kept nor shared


class BundleEndpoint(SharedFetch):
    """One trust domain's bundle."""

    def __init__(
        self,
        domain: str,
        settings: EndpointSettings,
        on_bundle: OnBundle,
        *,
        before: "BundleEndpoint | None" = None,
        health: FileHealth,
        clock: Callable[[], float],
        watch: FileWatch | None = None,
    ) -> None:
        """`on_bundle` is called with each bundle that differs; `before`: whose bundle is good to begin with."""
        kept = KeptKeys(settings.state, f"spiffe://{domain}", settings.url) if settings.state is not None else None
        super().__init__(
            kept, pace=_PACE, longest=_LONGEST_PACE, max_stale=_FOREVER, cooldown=_PACE, clock=clock, watch=watch
        )
        self.domain = domain
        self.settings = settings
        self._on_bundle = on_bundle
        self._health = health
        self.current: BundleDocument | None = None
        self._digest = b""
        fetched_as = _spiffe_context if settings.spiffe_id is not None else None
        context = None if fetched_as is None else lambda: fetched_as(settings, self._own())
        host = urlsplit(settings.url).hostname or ""
        self._fetcher = Fetcher(Egress(frozenset([host])), settings.ca, context=context)
        if before is not None and before.settings == settings and before.current is not None:
            self.current, self._digest, self._fetched = before.current, before._digest, before._fetched  # noqa: SLF001 - its own kind

    def __repr__(self) -> str:
        return f"BundleEndpoint({self.domain!r}, {self.current!r}, {self._failures} failures)"

    async def _get(self, *, anew: bool) -> tuple[bytes, float]:
        body = (await self._fetcher.get(self.settings.url)).body
        self._use(body)
        hint = self.current.refresh_hint if self.current is not None else None
        return body, _PACE if hint is None else min(_LONGEST_PACE, max(_SHORTEST_PACE, hint))

    def _use(self, body: bytes) -> None:
        digest = sha256(body).digest()
        if self.current is not None and digest == self._digest:
            return
        fresh = parse_bundle(body)
        if self.current is not None and _older(fresh, self.current):
            raise ValueError("its spiffe_sequence is lower than that of the bundle at work")
        changed = self.current is None or self.current.anchors != fresh.anchors
        self.current, self._digest = fresh, digest
        if changed:
            if not fresh.anchors:
                log.warning("bundle %s: it is empty, so every certificate of the trust domain is revoked", self.domain)
            self._on_bundle(fresh.anchors)

    def _told(self, why: str | None, *, ours: bool, first: bool, gone: bool) -> None:
        if why is None and first:
            self._health.took(BUNDLE, self.domain)
        elif why is not None and first:
            if self.current is not None:
                self._health.kept(BUNDLE, self.domain, why)
            else:
                self._health.missing(BUNDLE, self.domain, why)

    def _own(self) -> bytes | None:
        """The authorities of the endpoint's own trust domain, in PEM, where this is its bundle; else None."""
        spiffe_id = self.settings.spiffe_id
        if self.current is None or spiffe_id is None or parse_spiffe_id(spiffe_id).trust_domain != self.domain:
            return None
        return b"".join(anchor.public_bytes(Encoding.PEM) for anchor in self.current.anchors)


def _older(fresh: BundleDocument, held: BundleDocument) -> bool:
    return fresh.sequence is not None and held.sequence is not None and fresh.sequence < held.sequence


def _spiffe_context(settings: EndpointSettings, own: bytes | None) -> ssl.SSLContext:
    """TLS to an endpoint that shows an SVID (section 5.2.2). Raises OSError, ValueError."""
    if own is None:
        if settings.bootstrap is None or settings.spiffe_id is None:
            raise ValueError("there is no bundle to verify the endpoint by")
        own = settings.bootstrap.read_bytes()
        parse_certificates(own)
    context = verified_context(settings.spiffe_id or "", own)
    context.set_alpn_protocols(["http/1.1"])
    return context
