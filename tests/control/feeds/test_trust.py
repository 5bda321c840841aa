"""Bundles and revocation lists from files that change while the gateway serves (security.md M17, M18)."""

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.control.feeds.feed import FeedError
from gateway.control.feeds.lists import ListSettings
from gateway.control.feeds.trust import AuthorityFiles, TrustFeed, TrustSettings
from gateway.kernel.x509.crl import ListRules
from gateway.model.reason import Reason
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.testing.ca import Authority, Issued
from gateway.testing.wait import BOUND, until
from tests.control.feeds.provider import Provider, provider
from tests.stages.authenticate.asking import reason, request, stage


@pytest.fixture
def authority() -> Authority:
    return Authority("cluster.local")


@pytest.fixture
def web(authority: Authority) -> Issued:
    return authority.issue(uri="spiffe://cluster.local/ns/default/sa/web")


def files(folder: Path, authority: Authority, *, crl: bytes | None = None) -> AuthorityFiles:
    bundle = authority.write(folder, authority.trust_domain)
    if crl is None:
        return AuthorityFiles(authority.trust_domain, bundle, None)
    lists = folder / f"{authority.trust_domain}.crl"
    lists.write_bytes(crl)
    return AuthorityFiles(authority.trust_domain, bundle, lists)


def path(held: AuthorityFiles) -> Path:
    assert isinstance(held.bundle, Path)
    return held.bundle


def settings(*domains: AuthorityFiles) -> TrustSettings:
    return TrustSettings(domains, ())


async def verdict(feed: TrustFeed, issued: Issued) -> Reason | None:
    judged = stage(judge=CertificateAuthenticator(feed))
    return await reason(judged, request(chain=issued.ders, now=time.time()))


async def test_M18_a_revocation_counts_without_a_reload(tmp_path: Path, authority: Authority, web: Issued) -> None:
    held = files(tmp_path, authority, crl=authority.crl())
    feed = TrustFeed(settings(held))
    judged = stage(judge=CertificateAuthenticator(feed))
    ctx = request(chain=web.ders, now=time.time())
    assert await reason(judged, ctx) is None
    feed.start()
    assert held.crl is not None
    held.crl.write_bytes(authority.crl([web], number=2))
    await until(lambda: feed.generation == 2, what="the new list")
    assert await reason(judged, ctx) is Reason.CERTIFICATE_REVOKED
    await feed.close()


async def test_M18_a_new_bundle_replaces_the_old_whole(tmp_path: Path, authority: Authority, web: Issued) -> None:
    held = files(tmp_path, authority)
    feed = TrustFeed(settings(held))
    new = Authority("cluster.local")
    assert await verdict(feed, web) is None
    path(held).write_bytes(authority.pem() + new.pem())
    feed.reload()
    assert await verdict(feed, web) is None
    assert await verdict(feed, new.issue(uri="spiffe://cluster.local/a")) is None
    path(held).write_bytes(new.pem())
    feed.reload()
    assert await verdict(feed, web) is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda held, good: path(held).write_bytes(good[:300]), id="M18-half-written"),
        pytest.param(lambda held, good: path(held).write_bytes(b""), id="M18-empty"),
        pytest.param(lambda held, good: path(held).unlink(), id="M18-gone"),
        pytest.param(lambda held, good: held.crl.write_bytes(b"x"), id="M18-list-is-none"),
        pytest.param(
            lambda held, good: held.crl.write_bytes(Authority("cluster.local").crl()), id="M18-another-roots-list"
        ),
    ],
)
async def test_a_bad_file_keeps_the_last_good_and_says_so(
    tmp_path: Path, authority: Authority, web: Issued, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    held = files(tmp_path, authority, crl=authority.crl())
    feed = TrustFeed(settings(held))
    before = feed.current
    assert callable(spoil)
    spoil(held, authority.pem())
    feed.reload()
    feed.reload()
    if "another" in caplog.text or feed.current is not before:  # well-formed, of the same domain, another root's
        assert await verdict(feed, web) is Reason.CERTIFICATE_UNTRUSTED
        return
    assert await verdict(feed, web) is None
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(tmp_path) in record.getMessage()
    assert "last good" in record.getMessage()


async def test_one_domains_trouble_is_not_anothers(tmp_path: Path, authority: Authority, web: Issued) -> None:
    other = Authority("other.example")
    ours, theirs = files(tmp_path, authority), files(tmp_path, other)
    feed = TrustFeed(settings(ours, theirs))
    path(theirs).write_bytes(b"")
    rotated = Authority("cluster.local")
    path(ours).write_bytes(rotated.pem())
    feed.reload()
    assert await verdict(feed, other.issue(uri="spiffe://other.example/a")) is None
    assert await verdict(feed, web) is Reason.CERTIFICATE_UNTRUSTED
    assert await verdict(feed, rotated.issue(uri="spiffe://cluster.local/a")) is None


def test_unchanged_files_stay_the_same_object(tmp_path: Path, authority: Authority) -> None:
    held = files(tmp_path, authority)
    feed = TrustFeed(settings(held))
    before = feed.current
    feed.reload()
    path(held).write_bytes(authority.pem())
    feed.reload()
    assert feed.current is before
    assert feed.generation == 1


@pytest.mark.parametrize("missing", ["bundle", "crl"])
def test_a_missing_file_is_one_line_that_names_it(tmp_path: Path, authority: Authority, missing: str) -> None:
    held = files(tmp_path, authority, crl=authority.crl())
    path = getattr(held, missing)
    path.unlink()
    with pytest.raises(FeedError) as refused:
        TrustFeed(settings(held))
    assert str(refused.value) == f"{path}: cannot be read: No such file or directory"


async def test_names_are_patterns_in_any_case(tmp_path: Path) -> None:
    partners = Authority("partners")
    bundle = partners.write(tmp_path, "partners")
    feed = TrustFeed(
        TrustSettings((), (AuthorityFiles("partners", bundle, None, ("*.Partner.example", "one.example")),))
    )
    for name, expected in {
        "a.partner.example": None,
        "a.b.partner.example": None,
        "one.example": None,
        "partner.example": Reason.CERTIFICATE_UNTRUSTED,
        "two.example": Reason.CERTIFICATE_UNTRUSTED,
        "evilpartner.example": Reason.CERTIFICATE_UNTRUSTED,
    }.items():
        assert await verdict(feed, partners.issue(dns=[name])) is expected, name


def fetched(folder: Path, authority: Authority, held: Provider, **rules: bool) -> AuthorityFiles:
    lists = ListSettings(f"{held.url}/list", None, 0.05, folder / "state")
    bundle = authority.write(folder, authority.trust_domain)
    return AuthorityFiles(authority.trust_domain, bundle, lists.path, (), ListRules(fetched=True, **rules), lists)


async def test_M17_a_list_that_is_fetched_revokes_and_its_outage_is_no_verdict(
    tmp_path: Path, authority: Authority, web: Issued
) -> None:
    other = authority.issue(uri="spiffe://cluster.local/ns/default/sa/other")
    async with provider() as held:
        feed = TrustFeed(settings(fetched(tmp_path, authority, held)))
        feed.start()
        await feed.tried()
        assert await verdict(feed, web) is Reason.KEYS_UNAVAILABLE
        held.page("/list", authority.crl([web]))
        await wait_for(feed, web, Reason.CERTIFICATE_REVOKED)
        assert await verdict(feed, other) is None
        held.page("/list", b"", 500)
        await feed.close()
        again = TrustFeed(settings(fetched(tmp_path, authority, held)))  # a restart, while its server is down
        assert await verdict(again, web) is Reason.CERTIFICATE_REVOKED
        assert await verdict(again, other) is None


async def test_M17_a_forged_list_takes_no_place_and_opens_nothing(
    tmp_path: Path, authority: Authority, web: Issued
) -> None:
    async with provider() as held:
        feed = TrustFeed(settings(fetched(tmp_path, authority, held)))
        held.page("/list", Authority(authority.trust_domain).crl([web]))
        feed.start()
        await feed.tried()
        assert await verdict(feed, web) is Reason.KEYS_UNAVAILABLE
        await feed.close()


async def test_M17_open_on_failure_means_that_only_what_is_listed_is_refused(
    tmp_path: Path, authority: Authority, web: Issued
) -> None:
    async with provider() as held:
        feed = TrustFeed(settings(fetched(tmp_path, authority, held, required=False)))
        feed.start()
        await feed.tried()
        assert await verdict(feed, web) is None
        held.page("/list", authority.crl([web]))
        await wait_for(feed, web, Reason.CERTIFICATE_REVOKED)
        await feed.close()


@pytest.mark.parametrize(("leaf", "expected"), [(False, Reason.CERTIFICATE_REVOKED), (True, None)])
async def test_M17_chain_or_leaf(tmp_path: Path, authority: Authority, leaf: bool, expected: Reason | None) -> None:
    middle = authority.intermediate()
    below = middle.issue(uri="spiffe://cluster.local/ns/default/sa/web")
    crl = authority.crl([middle.certificate.serial_number]) + middle.crl()
    held = replace(files(tmp_path, authority, crl=crl), rules=ListRules(leaf=leaf))
    assert await verdict(TrustFeed(settings(held)), below) is expected


async def wait_for(feed: TrustFeed, issued: Issued, expected: Reason) -> None:
    end = time.monotonic() + BOUND
    while await verdict(feed, issued) is not expected:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
