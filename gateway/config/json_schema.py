"""JSON Schema (draft 2020-12) of routes.yaml, made from the objects that it is read into.

The text under an attribute is its description; defaults are written as the file writes them.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from gateway.config.schema import (
    Asserted,
    Balance,
    Bundle,
    Config,
    Endpoint,
    Jwks,
    LimitUse,
    Node,
    Ocsp,
    Percent,
    RevocationLists,
    Sink,
    WebSocket,
    WeightedUpstream,
)
from gateway.config.schema.scalars import is_size
from gateway.config.schema.units import in_bytes, in_words

_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Za-z_]"}
_SHORT = {  # what a scalar may stand for
    Asserted.__name__: "whether it is given at all",
    Balance.__name__: "the policy",
    Bundle.__name__: "a PEM file, or workload_api",
    Endpoint.__name__: "its URL",
    Jwks.__name__: "a file",
    LimitUse.__name__: "its name",
    Ocsp.__name__: "the responder's URL",
    RevocationLists.__name__: "a PEM file",
    Sink.__name__: "stdout or otlp",
    WeightedUpstream.__name__: "its name",
}
_ONE_OR_SOME = {  # one stands for a list of one
    ("Rule", "from"),
    ("Rule", "to"),
    ("Route", "upstream"),
    ("Audit", "sinks"),
    ("RateLimit", "rate"),
    ("Override", "rate"),
}
_VALUES_ONE_OR_SOME = {("OverrideMatch", "claims")}  # the same, of each value of a mapping
_NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_BOUND_OF = {"ge": "minimum", "le": "maximum"}  # behind a validator of ours pydantic leaves its own words


class _Generate(GenerateJsonSchema):
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as its base declares it


def json_schema() -> Mapping[str, object]:
    """The schema, ready for JSON."""
    schema = Config.model_json_schema(by_alias=True, schema_generator=_Generate)
    definitions: dict[str, Any] = schema.pop("$defs")
    for model in _models(Node):
        shape = schema if model is Config else definitions.get(model.__name__)
        if shape is not None:
            _describe(model, shape)
    for name, what in _SHORT.items():
        kind = "boolean" if name == Asserted.__name__ else "string"
        definitions[name] = {"anyOf": [{"type": kind, "description": what}, definitions[name]]}
    definitions[WebSocket.__name__] = {"anyOf": [{"type": "boolean"}, _VARIABLE, definitions[WebSocket.__name__]]}
    _in_schema_words([schema, definitions])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "routes.yaml of the gateway"}
    return {**head, **{key: value for key, value in schema.items() if key != "title"}, "$defs": definitions}


def _in_schema_words(part: object) -> None:
    """Bounds as JSON Schema names them, all the way down: a validator ignores every other word."""
    if isinstance(part, dict):
        for word in _BOUND_OF.keys() & part.keys():
            part[_BOUND_OF[word]] = part.pop(word)
        if part.get("type") == "array" and "minLength" in part:
            part["minItems"] = part.pop("minLength")
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            _in_schema_words(inner)


def _models(base: type[Node]) -> list[type[Node]]:
    return [found for model in base.__subclasses__() for found in (model, *_models(model))]


def _describe(model: type[Node], shape: dict[str, Any]) -> None:
    texts = _attribute_texts(model)
    shape.pop("title", None)
    for name, field in model.model_fields.items():
        key = field.validation_alias if isinstance(field.validation_alias, str) else name
        held = shape.get("properties", {}).get(key)
        if held is None:
            continue
        held.pop("title", None)
        held.pop("default", None)
        for one in (held, *held.get("anyOf", ())):
            if one.get("type") == "string":
                for bound in _NUMBER_BOUNDS:
                    one.pop(bound, None)
        held = _widened(held, one_or_some=(model.__name__, key) in _ONE_OR_SOME)
        if (model.__name__, key) in _VALUES_ONE_OR_SOME:
            some = held["additionalProperties"]
            held["additionalProperties"] = {"anyOf": [some["items"], some]}
        if name in texts:
            held["description"] = texts[name]
        default = _default(field)
        if default is not None:
            held["default"] = default
        shape["properties"][key] = held


def _widened(held: dict[str, Any], *, one_or_some: bool) -> dict[str, Any]:
    """What may be written besides: a variable for a number, boolean or word, one mapping for a list."""
    if one_or_some:
        some = next(one for one in (held, *held.get("anyOf", ())) if "items" in one)
        return {"anyOf": [some["items"], some]}
    if held.get("type") in ("integer", "boolean") or "enum" in held:
        return {"anyOf": [held, _VARIABLE]}
    return {**held, "anyOf": [one for one in held["anyOf"] if one != {"type": "null"}]} if "anyOf" in held else held


def _default(field: FieldInfo) -> object:
    """A scalar default as a file writes it; None where there is none to show."""
    value = field.default
    if isinstance(value, bool | str):
        return value
    if isinstance(value, Percent):
        return str(value)
    if isinstance(value, float):
        return in_words(value)
    if isinstance(value, int):
        return in_bytes(value) if is_size(field) else value
    if isinstance(value, tuple) and value and all(isinstance(one, str) for one in value):
        return list(value)
    return None


def _attribute_texts(model: type[Node]) -> Mapping[str, str]:
    """The string under each attribute of a class, its own and its bases'."""
    texts: dict[str, str] = {}
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for before, after in pairwise(statements):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            texts[before.target.id] = after.value.value
    return texts
