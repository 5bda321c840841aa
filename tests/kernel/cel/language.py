"""Conditions over a plain dict, for the tests of the language."""

from collections.abc import Mapping

import pytest

from gateway.kernel.cel import (
    CelInvalid,
    Failure,
    Field,
    Kind,
    Program,
    Record,
    Run,
    Variables,
    always,
    compile_condition,
    record,
)

Request = Mapping[str, object]


def _field(name: str) -> Field[Request]:
    def make(absent: object) -> Run[Request]:
        return lambda request: request.get(name, absent)

    return Field(Kind.ANY, make)


def _claim(name: str) -> Field[Request]:
    def make(absent: object) -> Run[Request]:
        def read(request: Request) -> object:
            claims = request.get("claims", {})
            assert isinstance(claims, Mapping)
            return claims.get(name, absent)

        return read

    return Field(Kind.ANY, make)


def _claims(request: Request) -> Mapping[str, object]:
    claims = request.get("claims", {})
    assert isinstance(claims, Mapping)
    return claims


VARIABLES: Variables[Request] = {
    "a": _field("a"),
    "b": _field("b"),
    "text": always(Kind.STRING, lambda request: request.get("text", "some text")),
    "claims": Record(_claim, _claims),
    "thing": record({"name": _field("name"), "inner": Record(_claim, _claims)}, lambda request: request),
}


def program(text: str) -> Program[Request]:
    """The compiled condition."""
    return compile_condition(text, VARIABLES)


def outcome(text: str, **request: object) -> object:
    """True, False, or the message of the failure."""
    found = program(text).run(request)
    return found.message if isinstance(found, Failure) else found


def refused(text: str) -> tuple[str, int, int]:
    """Why an expression is not in the language, and where."""
    with pytest.raises(CelInvalid) as caught:
        program(text)
    return caught.value.message, caught.value.line, caught.value.column
