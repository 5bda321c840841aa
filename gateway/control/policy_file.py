"""Policy test files: contract section 8, read as strictly as routes.yaml.

What stands in one is an expectation or a made-up fact; nothing in it is ever believed by a gateway that serves.
Only the expectations that are written are compared.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.document import Block, Items
from gateway.config.load import load_other
from gateway.config.plain import Number
from gateway.config.schema.base import Node
from gateway.config.schema.scalars import AnyText, FilePath, Integer, Name, NonEmpty, Some
from gateway.control.made_up import parse_time
from gateway.model.connection import IPAddress
from gateway.model.json import JSON
from gateway.model.reason import Effect, Reason

_NO_ROUTE = "none"  # as metrics and audit records call it


def _json(value: Any) -> JSON:
    """A value of the file as JSON has it."""
    if isinstance(value, Block):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, Items):
        return [_json(each) for each in value]
    if isinstance(value, Number):
        return float(value)
    return str(value) if isinstance(value, str) else value


def _object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("a mapping is wanted")
    return _json(value)


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("write a time like 2026-01-31T12:00:00Z, or seconds since 1970")
    return parse_time(value.text if isinstance(value, Number) else str(value))


def _address(value: Any) -> IPAddress:
    if isinstance(value, str):
        try:
            return ip_address(str(value))
        except ValueError:
            pass
    raise ValueError("an IP address is wanted")


def _destination(value: Any) -> Any:
    """`ADDRESS` or `ADDRESS:PORT`, IPv6 in brackets before a port."""
    text = str(value)
    try:
        return ip_address(text), None
    except ValueError:
        host, _, port = text.rpartition(":")
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        try:
            return ip_address(host.removeprefix("[").removesuffix("]")), int(port)
        except ValueError:
            pass
    raise ValueError("write the address that the request came to, like 10.0.0.1 or 10.0.0.1:8443")


def _known(value: Any, names: list[str], what: str) -> str:
    if isinstance(value, str) and value in names:
        return str(value)
    close = get_close_matches(str(value), names, 1)
    raise ValueError(f"{value!s} is no {what}: " + (f"did you mean {close[0]}?" if close else f"one of {names}"))


def _effect(value: Any) -> str:
    return _known(value, [each.value for each in Effect], "effect")


def _reason(value: Any) -> str | None:
    return None if value is None else _known(value, [each.code for each in Reason], "reason")


def _name(value: Any) -> Any:
    return None if value is None or value == _NO_ROUTE else str(value)


def _field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


Object: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_object)]
Fields: TypeAlias = Annotated[tuple[AnyText, ...], BeforeValidator(_field)]  # a text, or a list: sent more than once


class Request(Node):
    """What is asked."""

    method: NonEmpty = "GET"
    url: NonEmpty
    headers: dict[NonEmpty, Fields] = Field(default_factory=dict)


class Token(Node):
    """A token, taken as verified."""

    issuer: Name | None = None
    """A name of the config; default: by iss, or the only one."""
    claims: Object = Field(default_factory=dict)


class Expect(Node):
    """What must become of it; a key that is absent is not compared."""

    effect: Annotated[str, BeforeValidator(_effect)] = ""
    status: Integer | None = None
    reason: Annotated[str | None, BeforeValidator(_reason)] = None
    route: Annotated[str | None, BeforeValidator(_name)] = None
    rule: Annotated[str | None, BeforeValidator(_name)] = None

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.given():
            raise ValueError("nothing is expected: write effect, status, reason, route or rule")
        return self

    def given(self) -> dict[str, str | int | None]:
        """The expectations that are written, in the order of the contract."""
        order = ("effect", "status", "reason", "route", "rule")
        return {key: getattr(self, key) for key in order if key in self.model_fields_set}


class PolicyTest(Node):
    """One request that nobody sends, and what must become of it."""

    name: NonEmpty
    request: Request
    token: Token | None = None
    client: NonEmpty | None = None
    """The id of a client certificate, taken as verified."""
    posture: Object | None = None
    """Facts about the device, taken as known."""
    ip: Annotated[IPAddress, BeforeValidator(_address)] | None = None
    """The TCP peer."""
    now: Annotated[float, BeforeValidator(_time)] | None = None
    listener: Name | None = None
    sni: AnyText | None = None
    destination: Annotated[tuple[IPAddress, int | None], BeforeValidator(_destination)] | None = None
    expect: Expect


class PolicyFile(Node):
    """One file."""

    config: FilePath | None = None
    """Relative to the file; default: that of the command."""
    tests: Some[PolicyTest]


def load_tests(path: Path) -> PolicyFile:
    """Raises ConfigUnreadable, or ConfigInvalid with every error and its place."""
    return load_other(path, PolicyFile)
