"""routes.yaml into a `Config`, or every reason why not.

read -> document -> not built yet -> schema -> checks; a fault in one part does not hide those of the others.
What comes out is complete: names resolve, files exist, keys fit, defaults are filled in.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gateway.config import faults, tree, unbuilt
from gateway.config.checks import judge as judge_config
from gateway.config.checks.report import Report
from gateway.config.classes import classified
from gateway.config.defaults import complete
from gateway.config.document import Block, Document
from gateway.config.plain import BROKEN
from gateway.config.problem import ConfigInvalid, ConfigUnreadable, Problem
from gateway.config.schema import Config, Node
from gateway.config.tree import Gone
from gateway.config.variables import substitute
from gateway.model.place import Place

_Node = TypeVar("_Node", bound=Node)
_MAX_BYTES = 32 * 1024 * 1024
_ROUNDS = 8  # how often what is faulty is taken out, to see what else is wrong


def load(path: Path, *, env: Mapping[str, str] = os.environ, now: float | None = None) -> Config:
    """Read and judge a file. `now` (seconds since 1970, default the clock) judges the dates of certificates.

    Raises ConfigUnreadable, or ConfigInvalid with every error and warning.
    """
    data = read(path)
    errors: list[Problem] = []
    root = _document(data, str(path), env, errors, "it needs at least version, listeners and routes")
    config = None
    warnings: list[Problem] = []
    if root is not None:
        gone = Gone()
        errors += unbuilt.refuse(root, gone)
        errors += _take_out_nothing(root, gone)
        config = _validate(root, path, errors, gone)
        if config is not None:
            config = complete(config)
            report = Report(root, gone, sound=not errors)
            judge_config(config, report, time.time() if now is None else now)
            errors += report.errors
            warnings += report.warnings
            config = classified(config)
    warnings = _in_order(warnings)
    if errors or config is None:
        raise ConfigInvalid(_in_order(errors), warnings)
    return config.replace(path=path, digest=hashlib.sha256(data).hexdigest(), warnings=tuple(warnings))


def load_other(
    path: Path,
    schema: type[_Node],
    *,
    env: Mapping[str, str] = os.environ,
    judge: Callable[[_Node, Report], None] = lambda _file, _report: None,
    literal: bool = False,
) -> _Node:
    """Read another file of ours (policy tests, grants) as strictly as routes.yaml, against its own schema.

    `judge` checks what a schema cannot say; `literal`: `${NAME}` is no variable. Raises ConfigUnreadable, or
    ConfigInvalid with every error.
    """
    errors: list[Problem] = []
    root = _document(read(path), str(path), None if literal else env, errors)
    if root is not None:
        gone = Gone()
        gone.remove_all(root, [where for where, value in tree.walk(root) if value is BROKEN])
        try:
            found = schema.model_validate(root, context={"base": path.absolute().parent}, by_alias=True, by_name=False)
        except ValidationError as error:
            errors += faults.translate(root, error, gone, schema)[0]
        else:
            report = Report(root, gone, sound=not errors)
            judge(found, report)
            errors += report.errors
            if not errors:
                return found
    raise ConfigInvalid(_in_order(errors))


def read(path: Path) -> bytes:
    """The bytes of a file. Raises ConfigUnreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigUnreadable(path, (error.strerror or str(error)).lower()) from None
    except ValueError as error:  # a NUL byte in the name
        raise ConfigUnreadable(path, str(error)) from None
    if len(data) > _MAX_BYTES:
        raise ConfigUnreadable(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
    return data


def _document(
    data: bytes, file: str, env: Mapping[str, str] | None, errors: list[Problem], hint: str = ""
) -> Block | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        where = Place(file, before.count(b"\n") + 1, column)
        errors.append(Problem(where, "not UTF-8: write the file in UTF-8"))
        return None
    document = Document(text, file, lambda scalar, _: scalar if env is None else substitute(scalar, env))
    errors += document.problems
    root = document.root
    if isinstance(root, Block):
        return root
    if not document.problems:
        message = "the file is empty" if root is None else "a mapping is wanted"
        errors.append(Problem(Place(file, 1, 1), message, hint))
    return None


def _take_out_nothing(root: Block, gone: Gone) -> list[Problem]:
    """Take out values that are null, which no key means, and those that could not be read."""
    paths = [path for path, value in tree.walk(root) if value is None or value is BROKEN]
    problems = [
        Problem(tree.key_place(root, path), f"nothing stands behind {path[-1]!r}: remove it or write a value")
        for path in paths
        if tree.value(root, path) is None
    ]
    gone.remove_all(root, paths)
    return problems


def _validate(root: Block, path: Path, errors: list[Problem], gone: Gone) -> Config | None:
    """The file as far as its schema holds; None when too little is left to judge further."""
    context = {"base": path.absolute().parent}
    for _ in range(_ROUNDS):
        try:
            return Config.model_validate(root, context=context, by_alias=True, by_name=False)
        except ValidationError as error:
            found, faulty, unknown = faults.translate(root, error, gone)
        errors += found
        if () in faulty:
            return None
        gone.remove_all(root, faulty | unknown)
    return None


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.where.line, problem.where.column))
