"""What a record shows of its request, and what it leaves open."""

from pathlib import Path

from gateway.control.recorded import Recorded, Sources
from gateway.control.records import audit_files, decisions, input_names
from gateway.control.unsure import Need
from tests.control.audit_log import Ask, write_log
from tests.control.policy_config import config
from tests.control.test_replay import BEFORE, WEB

NESTED = BEFORE.replace("[tenant]", "[org][tenant]")
CANARY = Need("header", "x-canary")


async def recorded(folder: Path, *asked: Ask, routes: str = BEFORE) -> list[Recorded]:
    loaded = config(folder, routes=routes)
    files = audit_files([await write_log(loaded, *asked)])
    sources = Sources(loaded, input_names(files))
    return [Recorded(sources, decision) for decision in decisions(files)]


async def test_claims_stand_where_they_stood(tmp_path: Path) -> None:
    (found,) = await recorded(tmp_path, Ask(user="a", claims={"org": {"tenant": "acme", "unit": 1}}), routes=NESTED)
    assert found.token.presented is not None
    assert found.token.presented.claims["org"] == {"tenant": "acme"}
    listener = config(tmp_path, routes=NESTED).listeners["edge"]
    assert found.shows(Need("claim", "org.tenant", ("org", "tenant")), listener)
    assert not found.shows(Need("claim", "org.unit", ("org", "unit")), listener)
    assert found.shows(Need("claim", "sub", ("sub",)), listener)


async def test_the_head_has_what_the_record_shows(tmp_path: Path) -> None:
    (found,) = await recorded(tmp_path, Ask(user="a", client=WEB, headers=(("x-canary", "1"), ("x-other", "2"))))
    listener = config(tmp_path, routes=BEFORE).listeners["edge"]
    assert found.head(listener).headers == [
        (b"host", b"api.example.com"), (b"x-canary", b"1"), (b"authorization", b"Bearer recorded"),
    ]  # fmt: skip
    assert found.shows(CANARY, listener)
    assert not found.shows(Need("header", "x-other"), listener)
    assert found.shows(Need("peer", ""), listener)
    assert not found.shows(Need("sni", ""), listener)


async def test_whose_credentials_were_sent_is_known_only_where_they_were_proved(tmp_path: Path) -> None:
    asked = (Ask(user="a"), Ask(), Ask(user="a", claims={"aud": "other"}), Ask("/nowhere"), Ask("/hello"))
    assert [each.unproved for each in await recorded(tmp_path, *asked)] == [False, False, True, True, False]
