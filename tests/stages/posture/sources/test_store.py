"""Facts in the store: which command asks for them."""

import pytest

from gateway.stages.posture import Known
from gateway.stages.posture.sources.store import StoreSource, store_command
from tests.facts import NOW, principal


@pytest.mark.parametrize(
    ("key", "device", "command"),
    [
        pytest.param("devices", "a", (b"HGET", b"devices", b"a"), id="a-hash-of-all"),
        pytest.param("posture:{device}", "a", (b"GET", b"posture:a"), id="a-key-each"),
        pytest.param("p:{device}", "a:b\r\nFLUSHALL", (b"GET", b"p:a:b\r\nFLUSHALL"), id="a-name-is-one-argument"),
        pytest.param("p:{device}", "{device}", (b"GET", b"p:{device}"), id="a-name-is-no-template"),
        pytest.param("devices", "ä\ud800", (b"HGET", b"devices", b"\xc3\xa4\xed\xa0\x80"), id="any-text"),
    ],
)
def test_a_device_is_one_argument(key: str, device: str, command: tuple[bytes, ...]) -> None:
    assert store_command(key, device) == command


async def test_what_the_store_holds_is_known() -> None:
    asked: list[tuple[bytes, ...]] = []

    async def read(command: tuple[bytes, ...]) -> bytes | None:
        asked.append(command)
        return b'{"os": 1, "observed_at": 1800000000}' if command[2] == b"a" else None

    source = StoreSource("devices", read, 60.0)
    assert await source("a", principal(), NOW) == Known({"os": 1, "observed_at": 1800000000}, 1_800_000_000.0)
    assert await source("b", principal(), NOW) is None
    assert asked == [(b"HGET", b"devices", b"a"), (b"HGET", b"devices", b"b")]
