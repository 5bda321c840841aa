"""Who may call the admin address is judged by the head alone."""

from pathlib import Path

import pytest

from gateway.admin.guard import AdminSettings, host_is_ours, is_local, origin_is_ours, settings_for, token_is_right

HERE = AdminSettings("127.0.0.1", "secret")


@pytest.mark.parametrize(
    ("host", "configured", "local", "ours"),
    [
        ("127.0.0.1:9901", "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("localhost:9901", "127.0.0.1", "127.0.0.1", True),
        ("LOCALHOST.", "127.0.0.1", "127.0.0.1", True),
        ("[::1]:9901", "::1", "::1", True),
        ("[0:0:0:0:0:0:0:1]:9901", "::1", "::1", True),
        ("10.1.2.3:9901", "0.0.0.0", "10.1.2.3", True),
        ("10.1.2.3:9901", "::", "::ffff:10.1.2.3", True),
        ("localhost", "", "/run/admin.sock", True),
        ("evil.example", "127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1.evil.example:9901", "127.0.0.1", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", "127.0.0.1", False),
        ("10.9.9.9:9901", "0.0.0.0", "10.1.2.3", False),
        ("", "127.0.0.1", "127.0.0.1", False),
        ("", "", None, False),
        (":9901", "127.0.0.1", "127.0.0.1", False),
        ("localhost:", "127.0.0.1", "127.0.0.1", False),
        ("localhost:99x", "127.0.0.1", "127.0.0.1", False),
        ("localhost:9901:1", "127.0.0.1", "127.0.0.1", False),
        ("user@localhost", "127.0.0.1", "127.0.0.1", False),
        ("[::1", "::1", "::1", False),
        ("[::1]x", "::1", "::1", False),
        ("/run/admin.sock", "", "/run/admin.sock", False),
    ],
)
def test_Z21_the_host_must_name_the_address(host: str, configured: str, local: str | None, *, ours: bool) -> None:
    assert host_is_ours(host, AdminSettings(configured, None), local) is ours


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("http://127.0.0.1:9901", True),
        ("HTTP://127.0.0.1:9901", True),
        ("https://127.0.0.1:9901", False),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:9902", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_Z21_an_origin_other_than_its_own_is_foreign(origin: str, *, ours: bool) -> None:
    assert origin_is_ours(origin, "127.0.0.1:9901", HERE) is ours


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        ("Bearer secret", True),
        ("bearer  secret ", True),
        ("Bearer secre", False),
        ("Bearer secretx", False),
        ("Bearer ", False),
        ("Bearer", False),
        ("secret", False),
        ("Basic secret", False),
        ("", False),
        ("Bearer \udcffsecret", False),
    ],
)
def test_the_token(authorization: str, *, right: bool) -> None:
    assert token_is_right(authorization, HERE) is right


@pytest.mark.parametrize("authorization", ["Bearer ", "Bearer None", ""])
def test_without_a_token_none_is_right(authorization: str) -> None:
    assert not token_is_right(authorization, AdminSettings("10.0.0.1", None))


def test_a_token_stays_out_of_messages() -> None:
    assert "secret" not in repr(HERE)


def test_another_address_gets_no_token_of_its_own(tmp_path: Path) -> None:
    assert settings_for("10.0.0.1", None, tmp_path).token is None
    assert settings_for("10.0.0.1", "given", tmp_path).token == "given"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "local"),
    [("", True), ("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("a.example", False)],
)
def test_local(host: str, *, local: bool) -> None:
    assert is_local(host) is local
