"""Classes of data: requirements stated once, joined with what a route requires itself."""

from pathlib import Path

import pytest

from gateway.config.classes import both, classified
from gateway.config.effective import Effective
from gateway.config.schema import Config
from tests.config.sample import changed, judged, loaded

CLASS = (
    "classes: {restricted: {requires: {certificate: true, audiences: [a, b], scopes: [x], acr: [phr], "
    "max_auth_age: 15m, posture: laptop}}}\n"
    "posture: {laptop: {source: {claim: device}}, phone: {source: {claim: device}}}\n"
)


def file(requires: str = "", classes: str = CLASS, route: str = "classification: restricted") -> str:
    own = f"    requires: {requires}\n" if requires else ""
    return changed(("upstreams:", f"{classes}upstreams:"), ("    allow:", f"    {route}\n{own}    allow:"))


def asked(config: Config) -> dict[str, object]:
    requires = config.routes[0].requires
    assert requires is not None
    return requires.asked()


def test_a_route_requires_what_its_class_does(folder: Path) -> None:
    config = loaded(folder, file())
    assert asked(config) == {
        "certificate": True, "audiences": ("a", "b"), "acr": ("phr",), "max_auth_age": 900.0, "posture": "laptop",
        "scopes": ("x",),
    }  # fmt: skip
    requires = config.routes[0].requires
    assert requires is not None
    assert {key: requires.stated(key).line for key in asked(config)} == dict.fromkeys(asked(config), 6)


def test_both_hold_and_the_stricter_wins(folder: Path) -> None:
    own = "{audiences: [b, c], scopes: [y], acr: [phr, phrh], max_auth_age: 5m, posture: laptop}"
    config = loaded(folder, file(own))
    assert asked(config) == {
        "certificate": True, "audiences": ("b",), "acr": ("phr",), "max_auth_age": 300.0, "posture": "laptop",
        "scopes": ("y", "x"),
    }  # fmt: skip
    requires = config.routes[0].requires
    assert requires is not None
    assert set(requires.origins) == {"certificate", "audiences", "acr", "scopes"}
    assert requires.stated("max_auth_age") == requires.where


def test_joining_never_asks_for_less() -> None:
    assert both(("a",), ()) == both((), ("a",)) == both(("a",), ("b", "a")) == ("a",)
    assert both(("a",), ("b",)) == ()


def test_without_classes_a_file_is_as_it_was(folder: Path) -> None:
    config = loaded(folder, file("{scopes: [y]}", classes="", route="timeout: 1s"))
    assert classified(config) is config
    assert asked(config) == {"scopes": ("y",)}


def test_the_effective_file_says_which_class_adds_what(folder: Path) -> None:
    causes = dict(Effective(loaded(folder, file("{scopes: [y], posture: laptop}"))).causes())
    added = {path: cause for path, cause in causes.items() if "class" in cause}
    assert added == {
        f"routes[0].requires.{key}": "default: the class restricted"
        for key in ("certificate", "audiences", "scopes", "acr", "max_auth_age")
    }
    assert dict(Effective(loaded(folder, file())).causes())["routes[0].requires"] == "default: the class restricted"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            file(route="classification: restrictd"),
            "14:21 'restrictd' is none of classes (did you mean 'restricted'?)",
            id="unknown-class",
        ),
        pytest.param(
            file(route="public: true\n    classification: restricted"),
            "15:21 a public route asks for no credential, and the class restricted requires one",
            id="public",
        ),
        pytest.param(
            file("{audiences: [c]}"),
            "15:27 no request meets this and its class's audiences (the class requires it in line 6)",
            id="other-audiences",
        ),
        pytest.param(
            file("{acr: [low]}"),
            "15:21 no request meets this and its class's acr (the class requires it in line 6)",
            id="other-acr",
        ),
        pytest.param(
            file("{posture: phone}"),
            "15:25 no request meets this and its class's posture (the class requires it in line 6)",
            id="other-posture",
        ),
        pytest.param(
            file(classes="classes: {restricted: {requires: {posture: laptop}}}\n"),
            "6:44 'laptop' is none of posture",
            id="unknown-posture",
        ),
        pytest.param(
            file(classes="classes: {restricted: {requires: {acr: ['a b']}}}\n"),
            "6:41 'a b' is no acr: write each as an entry of its own, without spaces and quotes",
            id="two-in-one",
        ),
        pytest.param(
            file(classes="classes: {restricted: {require: {acr: [a]}}}\n"),
            "6:24 unknown key 'require' (did you mean 'requires'?)",
            id="unknown-key",
        ),
        pytest.param(file("{max_auth_age: 0s}"), "15:30 more than 0 is wanted", id="an-age-that-nobody-has"),
    ],
)
def test_what_cannot_hold_is_an_error(folder: Path, text: str, problem: str) -> None:
    assert problem in judged(folder, text)[0]


def test_a_class_that_requires_nothing_is_a_warning(folder: Path) -> None:
    text = file(classes="classes: {restricted: {requires: {}}}\n")
    assert "6:23 the class restricted requires nothing" in judged(folder, text)[1]
