"""What the schema found wrong, in the words of the file.

pydantic reports every error with a path; here each becomes a place and a sentence that says what to write.
A message never repeats a value that may be a secret.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import tree
from gateway.config.document import Block
from gateway.config.problem import Problem
from gateway.config.schema.base import Node
from gateway.config.schema.config import Config
from gateway.config.tree import Gone, Path

_UNKNOWN = "extra_forbidden"
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def translate(
    root: Block, error: ValidationError, gone: Gone, top: type[Node] = Config
) -> tuple[list[Problem], set[Path], set[Path]]:
    """The problems; the paths of what is faulty; and those of keys that merely are not known.

    `top`: the schema of the whole file. That something is missing which was taken out before is no news.
    """
    problems: list[Problem] = []
    faulty: set[Path] = set()
    unknown: set[Path] = set()
    # Unknown keys first: where one is nearly another, that the other is missing is no news either.
    for found in sorted(
        error.errors(include_url=False, include_input=False), key=lambda each: each["type"] != _UNKNOWN
    ):
        path = tree.real(root, found["loc"])
        kind = found["type"]
        if kind == _UNKNOWN:
            unknown.add(path)
            meant = nearest(path[:-1], str(path[-1]), top)
            if meant is not None:
                gone.note(_holder(root, path[:-1]).where, meant)
        elif kind == "too_short" and _had_more(tree.value(root, path), gone):
            continue  # its values are wrong, and are reported themselves
        else:
            faulty.add(path)
        if kind == "missing" and gone.lost(_holder(root, path).where, str(found["loc"][-1])):
            continue
        problems.append(_problem(root, path, found, top))
    return problems, faulty, unknown


def _had_more(value: object, gone: Gone) -> bool:
    return bool(value) or (isinstance(value, Block) and gone.lost_any(value.where))


def _holder(root: Block, path: Path) -> Block:
    holder = tree.value(root, path)
    return holder if isinstance(holder, Block) else root


def _problem(root: Block, path: Path, found: ErrorDetails, top: type[Node]) -> Problem:
    kind, context = found["type"], found.get("ctx", {})
    where = tree.place(root, path)
    if kind == _UNKNOWN:
        name = str(path[-1])
        return Problem(tree.key_place(root, path), f"unknown key {name!r}", _known(path[:-1], name, top))
    if kind == "missing":
        return Problem(where, f"{found['loc'][-1]!r} is missing")
    if found["loc"][-1] == "[key]":
        return Problem(tree.key_place(root, path), _sentence(found))
    if kind == "literal_error" and path == ("version",):
        return Problem(where, "this build reads version 1", "write version: 1")
    if kind == "literal_error":
        return Problem(where, *_choice(tree.value(root, path), str(context.get("expected", ""))))
    return Problem(where, _sentence(found))


def _sentence(found: ErrorDetails) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {context[bound]:g} is wanted"
    if kind == "too_short":
        return "nothing stands in it: remove the key or name something"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "a mapping is wanted"
    if kind in ("tuple_type", "list_type"):
        return "a list is wanted: write [VALUE]"
    return found["msg"]


def _choice(value: object, expected: str) -> tuple[str, str]:
    """The sentence and hint for a value that is none of a few."""
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    sentence = f"{expected.replace(chr(39), '')} is wanted"
    if not isinstance(value, str):
        text = getattr(value, "text", str(value))
        return sentence, f'write "{text}" in quotes' if text in choices and f"'{text}'" in expected else ""
    if value in choices:
        return sentence, "write it without quotes"
    close = get_close_matches(value, choices, 1)
    return sentence, f"did you mean {close[0]}?" if close else ""


def _known(path: Path, name: str, top: type[Node]) -> str:
    """A hint for an unknown key: the nearest that stands there, else all when they are few."""
    meant = nearest(path, name, top)
    if meant is not None:
        return f"did you mean {meant!r}?"
    model = model_at(path, top)
    keys = keys_of(model) if model is not None else ()
    return f"known here: {', '.join(keys)}" if 0 < len(keys) <= 12 else ""


def nearest(path: Path, name: str, top: type[Node] = Config) -> str | None:
    """The key that was probably meant by an unknown one in the mapping at `path`."""
    model = model_at(path, top)
    if model is None:
        return None
    close = get_close_matches(name.lower().replace("-", "_"), keys_of(model), 1, 0.6)
    return close[0] if close else None


def keys_of(model: type[Node]) -> Sequence[str]:
    """The keys that a file may write in it."""
    keys = []
    for name, field in model.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else name
        if not alias.startswith("\0"):
            keys.append(alias)
    return keys


def model_at(path: Path, top: type[Node] = Config) -> type[Node] | None:
    """The schema of the mapping at `path`."""
    model = top
    pending: object = None  # the annotation of a field that holds models by key or position
    for part in path:
        if pending is not None:
            inner = _model_in(pending)
            if inner is None:
                return None
            if isinstance(part, int) or _by_key(pending):
                model, pending = inner, None
                continue
            model, pending = inner, None
        annotation = _annotations(model).get(str(part))
        if annotation is None:
            return None
        pending = annotation
    if pending is None:
        return model
    return None if _by_key(pending) else _model_in(pending)


def _annotations(model: type[Node]) -> Mapping[str, object]:
    return {
        (field.validation_alias if isinstance(field.validation_alias, str) else name): field.annotation
        for name, field in model.model_fields.items()
    }


def _by_key(annotation: object) -> bool:
    return getattr(annotation, "__origin__", None) is dict


def _model_in(annotation: object) -> type[Node] | None:
    """The one model that an annotation holds, in whatever container."""
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
