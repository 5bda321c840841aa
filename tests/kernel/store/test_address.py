from pathlib import Path

import pytest

from gateway.kernel.store import RedisAddress

BASE = Path("/etc/gateway")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("redis://localhost", RedisAddress(host="localhost"), id="defaults"),
        pytest.param("redis://[::1]:7000/3", RedisAddress(host="::1", port=7000, database=3), id="ipv6-port-database"),
        pytest.param("redis://r?db=3&prefix=edge", RedisAddress(host="r", database=3, prefix="edge"), id="options"),
        pytest.param("redis://:p%40ss@r", RedisAddress(host="r", password="p@ss"), id="password-percent-decoded"),
        pytest.param("redis://gw:x@r", RedisAddress(host="r", username="gw", password="x"), id="acl-user"),
        pytest.param("redis+unix:///run/r.sock?db=2", RedisAddress(path="/run/r.sock", database=2), id="unix"),
        pytest.param(
            "rediss://r?ca=ca.pem&certificate=c.pem&key=/k.pem",
            RedisAddress(host="r", tls=True, ca=BASE / "ca.pem", certificate=BASE / "c.pem", key=Path("/k.pem")),
            id="tls-files-relative-to-the-config",
        ),
        pytest.param(
            "redis+sentinel://gw:x@a,[::1]:7/main/2?sentinel_user=s&sentinel_password=y",
            RedisAddress(
                sentinels=(("a", 26379), ("::1", 7)),
                master="main",
                database=2,
                username="gw",
                password="x",
                sentinel_username="s",
                sentinel_password="y",
            ),
            id="sentinels",
        ),
        pytest.param(
            "redis+cluster://:x@a:7000,b?tls=true&ca=ca.pem",
            RedisAddress(cluster=(("a", 7000), ("b", 6379)), password="x", tls=True, ca=BASE / "ca.pem"),
            id="cluster-over-tls",
        ),
    ],
)
def test_an_address_is_read(url: str, expected: RedisAddress) -> None:
    assert RedisAddress.parse(url, BASE) == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://r", "redis://"),
        ("redis://", "names no host"),
        ("redis://r:seven", "not a URL"),
        ("redis://r/one", "database"),
        ("redis://r?ca=ca.pem", "'ca' means nothing to redis://"),
        ("redis://r?timeout=1", "'timeout' means nothing"),
        ("redis+unix://r/run/sock", "redis+unix:///absolute/path"),
        ("rediss://r?certificate=c.pem", "go together"),
        ("redis://a,b", "sentinels or a cluster"),
        ("redis+sentinel://a", "by its name"),
        ("redis+cluster://a/2", "no databases"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://a?ca=ca.pem", "need tls=true"),
        ("redis+cluster://a?tls=yes", "true or false"),
        ("redis+cluster://a?sentinel_user=x", "means nothing"),
    ],
)
def test_an_address_that_means_nothing_is_refused_with_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("+", r"\+")):
        RedisAddress.parse(url)


def test_a_password_is_in_no_text_that_is_made_of_an_address() -> None:
    address = RedisAddress.parse("rediss://gw:s3cr3t@r:7000/1")
    assert "s3cr3t" not in f"{address} {address!r}"
    assert str(address) == "rediss://r:7000/1"
    guarded = RedisAddress.parse("redis+sentinel://gw:s3cr3t@a,b:7/main?sentinel_password=s3cr3t")
    assert "s3cr3t" not in f"{guarded} {guarded!r}"
    assert str(guarded) == "redis+sentinel://a:26379,b:7/main/0"
    with pytest.raises(ValueError) as refused:
        RedisAddress.parse("redis://gw:s3cr3t@r:port")
    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__  # urlsplit's own message quotes what it was given


def test_an_address_without_tls_has_no_context_and_a_missing_ca_is_an_os_error(tmp_path: Path) -> None:
    assert RedisAddress.parse("redis://r").context() is None
    with pytest.raises(OSError):
        RedisAddress.parse("rediss://r?ca=absent.pem", tmp_path).context()


def test_a_server_is_verified_by_name_whatever_the_options_say() -> None:
    context = RedisAddress.parse("rediss://r").context()
    assert context is not None
    assert context.check_hostname
