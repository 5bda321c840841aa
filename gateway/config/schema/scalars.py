"""The types of single values: what a scalar of the file becomes.

Types are strict: a number where a text is wanted is an error that says what to write.
Only a scalar that is one whole `${VARIABLE}` takes the type of its key.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, WithJsonSchema
from pydantic.fields import FieldInfo

from gateway.config.plain import Number, Text
from gateway.config.schema import units
from gateway.config.schema.units import Address, Factor, Percent, Rate
from gateway.kernel.patterns.blocks import Network, parse_block
from gateway.model.methods import KNOWN_METHODS, NOT_IN_ANY

UNLIMITED = 1 << 62  # bytes: what `unlimited` means
_T = TypeVar("_T")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else str(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        if not value:
            raise ValueError("an empty text: remove the key or write a value")
        return str(value)
    if isinstance(value, bool | int | float):
        raise ValueError(f'a text is wanted: write "{_shown(value)}" in quotes')
    if value is None:
        raise ValueError("nothing stands here: remove the key or write a value")
    raise ValueError(f"a text is wanted, not a {'list' if isinstance(value, list) else 'mapping'}")


def _any_text(value: object) -> str:
    return "" if isinstance(value, str) and not value else _text(value)


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Text):
        if value.variable and value.lstrip("+-").isdigit() and value.isascii():
            return int(value)
        digits = value.lstrip("+-")
        if digits.isascii() and digits.isdigit() and len(digits) < 19:
            raise ValueError(
                f"{value!s} is an octal number to some and a decimal one to others: write {int(value)} or 0o…"
            )
        if digits.replace(":", "").isdigit() and ":" in digits:
            raise ValueError(
                f"{value!s} is a number in base 60 to some: write a plain number, or quote it where a text is wanted"
            )
    raise ValueError("a whole number is wanted")


def boolean(value: object) -> bool:
    """Raises ValueError for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Text):
        if value.variable and value in ("true", "false"):
            return value == "true"
        if value.lower() in ("yes", "on", "y"):
            raise ValueError(f"{value!s} is a text in YAML 1.2: write true")
        if value.lower() in ("no", "off", "n"):
            raise ValueError(f"{value!s} is a text in YAML 1.2: write false")
    raise ValueError("true or false is wanted")


def _number_text(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _shown(value)
    return _text(value)


def _duration(value: object) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} of what? Write a unit, like {value}s or {value}ms")
    return units.duration(_text(value))


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size is never negative")
        return value
    return units.size(_text(value))


def _body_size(value: object) -> int:
    return UNLIMITED if value == "unlimited" else _size(value)


def _path(value: object, info: ValidationInfo) -> Path:
    text = value if isinstance(value, Path) else _text(value)
    base = info.context["base"] if info.context else Path()
    return Path(base / text)


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    if not isinstance(value, dict):
        return SecretStr(_text(value))
    if set(value) != {"file"}:
        raise ValueError("a secret is a text or {file: PATH}")
    path = _path(value["file"], info)
    try:
        held = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"cannot read the secret from {path}: {why(error)}") from None
    if not held:
        raise ValueError(f"{path} is empty: it should hold the secret")
    return SecretStr(held)


def why(error: Exception) -> str:
    """An operating system's error in a few words, without its number."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (getattr(error, "strerror", None) or str(error)).lower()


def _method(value: object) -> str:
    text = _text(value)
    if text in NOT_IN_ANY:
        raise ValueError(f"{text} is never served: remove it")
    if text == "*" or text in KNOWN_METHODS:
        return text
    close = get_close_matches(text.upper(), KNOWN_METHODS, 1)
    hint = f"did you mean {close[0]}?" if close else "write one like GET, or * for every one"
    raise ValueError(f"{text!r} is no method that the gateway knows: {hint}")


def _name(value: object) -> str:
    text = _text(value)
    if len(text) > 128 or not text.isprintable() or text != text.strip() or "*" in text:
        raise ValueError("a name has at most 128 printable characters and no *")
    return text


def _one(value: object) -> Any:
    return value if isinstance(value, list | tuple) or value is None else [value]


_VARIABLE = r"|\$\{"  # a text with a variable in it is judged when its value is known
_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$" + _VARIABLE,
    "examples": ["5s", "10m"],
}
_SIZE_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$" + _VARIABLE},
        {"type": "integer", "minimum": 0},
    ]
}
_STRING_SCHEMA = {"type": "string"}

NonEmpty = Annotated[str, BeforeValidator(_text)]
AnyText = Annotated[str, BeforeValidator(_any_text)]
Name = Annotated[str, BeforeValidator(_name)]
Integer = Annotated[int, BeforeValidator(_integer)]
Boolean = Annotated[bool, BeforeValidator(boolean)]
Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema(_SIZE_SCHEMA)]
BodySize = Annotated[
    int, BeforeValidator(_body_size), WithJsonSchema({"anyOf": [_SIZE_SCHEMA, {"const": "unlimited"}]})
]
FilePath = Annotated[Path, BeforeValidator(_path), WithJsonSchema(_STRING_SCHEMA)]
Secret = Annotated[
    SecretStr,
    BeforeValidator(_secret),
    WithJsonSchema(
        {"anyOf": [_STRING_SCHEMA, {"type": "object", "required": ["file"], "properties": {"file": _STRING_SCHEMA}}]}
    ),
]
Method = Annotated[str, BeforeValidator(_method)]


def _parsed(parse: Any) -> BeforeValidator:
    return BeforeValidator(
        lambda value: value if not isinstance(value, str | int | float | None) else parse(_text(value))
    )


_PERCENT_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,3}%$" + _VARIABLE, "examples": ["10%"]}

_FACTOR_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0.01, "maximum": 100}, _STRING_SCHEMA]}

FactorNumber: TypeAlias = Annotated[
    Factor,
    BeforeValidator(lambda value: value if isinstance(value, Factor) else units.factor(_number_text(value))),
    WithJsonSchema(_FACTOR_SCHEMA),
]
PercentText: TypeAlias = Annotated[Percent, _parsed(units.percent), WithJsonSchema(_PERCENT_SCHEMA)]
RateText: TypeAlias = Annotated[Rate, _parsed(units.rate), WithJsonSchema(_STRING_SCHEMA)]
ListenAddress: TypeAlias = Annotated[Address, _parsed(units.address), WithJsonSchema(_STRING_SCHEMA)]
AdminAddress: TypeAlias = Annotated[Address, _parsed(units.admin_address), WithJsonSchema(_STRING_SCHEMA)]
Cidr: TypeAlias = Annotated[Network, _parsed(parse_block), WithJsonSchema(_STRING_SCHEMA)]

Some = Annotated[tuple[_T, ...], Field(min_length=1)]  # a list that may be absent, never empty
OneOrSome = Annotated[tuple[_T, ...], BeforeValidator(_one), Field(min_length=1)]  # a single value stands for a list
OneOrMany = Annotated[tuple[_T, ...], BeforeValidator(_one)]  # the same, where none is a list too


def is_size(field: FieldInfo) -> bool:
    """True for a field that holds bytes."""
    return any(getattr(each, "func", None) in (_size, _body_size) for each in field.metadata)
