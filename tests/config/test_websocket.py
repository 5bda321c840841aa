"""`routes.*.websocket`: true, false, or who may."""

from pathlib import Path

import pytest

from gateway.config.effective import Effective
from gateway.config.load import load
from gateway.config.schema import WebSocket
from tests.config.sample import changed, judged


def written(text: str) -> str:
    return changed(("    upstream: inventory\n", f"    upstream: inventory\n    websocket: {text}\n"))


def read(folder: Path, text: str) -> WebSocket | None:
    path = folder / "routes.yaml"
    path.write_text(written(text))
    config = load(path)
    shown = Effective(config).plain()
    assert isinstance(shown, dict)
    websocket = config.routes[0].websocket
    if text in ("true", "${WS:-true}"):
        assert shown["routes"][0]["websocket"] is True
    return websocket


@pytest.mark.parametrize(
    ("text", "origins", "token"),
    [
        ("true", (), None),
        ("${WS:-true}", (), None),
        ('{origins: ["https://app.example.com"]}', ("https://app.example.com",), None),
        ('{origins: ["*"], token_subprotocol: bearer}', ("*",), "bearer"),
        (
            "{token_subprotocol: base64url.bearer.authorization.k8s.io}",
            (),
            "base64url.bearer.authorization.k8s.io",
        ),
    ],
)
def test_who_may(folder: Path, text: str, origins: tuple[str, ...], token: str | None) -> None:
    websocket = read(folder, text)
    assert websocket is not None
    assert (websocket.origins, websocket.token_subprotocol) == (origins, token)


def test_false_is_nobody(folder: Path) -> None:
    assert read(folder, "false") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yes", "write true"),
        ("3", "true or false is wanted"),
        ("[]", "true or false is wanted"),
        ("{origins: []}", "nothing stands in it"),
        ("{origin: a}", "did you mean"),
        ("{origins: [app.example.com]}", "app.example.com"),
        ('{origins: ["https://APP.example.com"]}', "browsers write"),
        ('{origins: ["null"]}', "no origin to trust"),
        ("{token_subprotocol: 'a b'}", "a b"),
        ("{token_subprotocol: 'a,b'}", "a,b"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, text: str, message: str) -> None:
    errors, _ = judged(folder, written(text))
    assert any(message in error for error in errors), errors


def test_only_an_upstream_takes_them(folder: Path) -> None:
    answering = "    respond: {status: 200}\n    public: true\n    websocket: true\n"
    errors, _ = judged(folder, changed(("    upstream: inventory\n", answering)))
    assert any("only an upstream takes WebSockets" in error for error in errors), errors
