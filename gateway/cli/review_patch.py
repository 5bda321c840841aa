"""Suggestions as a patch of the file: what `patch` and `git apply` take, each rule in the place of the one it replaces.

Rule: nothing else in the file changes, comments and order included; what would come out is a valid file.
"""

import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from gateway.cli.output import CannotTell
from gateway.config.load import load
from gateway.config.problem import ConfigInvalid
from gateway.control.review import Suggestion
from gateway.convert.writing import inline, yaml_text


def patch(file: Path, suggestions: Sequence[Suggestion]) -> tuple[str, list[Suggestion]]:
    """A unified diff of `file`, and the suggestions that it leaves out: rules with variables or anchors.

    Raises CannotTell where what comes out would not be valid, OSError.
    """
    text = file.read_text(encoding="utf-8-sig")
    fresh, left = _rewritten(text, suggestions)
    _prove(file, fresh)
    name = os.path.relpath(file)
    name = file.name if name.startswith("..") else name
    lines = difflib.unified_diff(text.splitlines(True), fresh.splitlines(True), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines), left


def _rewritten(text: str, suggestions: Iterable[Suggestion]) -> tuple[str, list[Suggestion]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    nodes = {(node.start_mark.line + 1, node.start_mark.column + 1): node for node in _mappings(root)}
    left: list[Suggestion] = []
    for each in sorted(suggestions, key=lambda each: (each.where.line, each.where.column), reverse=True):
        node = nodes.get((each.where.line, each.where.column))
        if node is None:
            left.append(each)
            continue
        begin, end = node.start_mark.index, _end(node)
        if "${" in text[begin:end] or _anchored(text, begin):
            left.append(each)
            continue
        text = text[:begin] + _written(each, node) + text[end:]
    return text, left


def _written(suggestion: Suggestion, node: yaml.MappingNode) -> str:
    """The rule in the style in which it stands."""
    if node.flow_style:
        return inline(suggestion.rule_as_written)
    lines = yaml_text({"-": [suggestion.rule_as_written]}).splitlines()[1:]
    indent = " " * node.start_mark.column
    return f"\n{indent}".join(line[4:] for line in lines)


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    waiting, seen = [node], set()
    while waiting:
        here = waiting.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.MappingNode):
            yield here
            waiting += [value for _, value in here.value]
        elif isinstance(here, yaml.SequenceNode):
            waiting += here.value


def _end(node: yaml.Node) -> int:
    """Where the last character of a node stands: of one in blocks, that of its last value."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _anchored(text: str, begin: int) -> bool:
    """True behind `&name`: what else points here would change too."""
    return text[:begin].rstrip(" ").rpartition("\n")[2].rpartition(" ")[2].startswith("&")


def _prove(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".review-", suffix=".yaml")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as fresh:
            fresh.write(text)
        load(Path(name))
    except ConfigInvalid as invalid:
        raise CannotTell(f"the suggestions do not fit into {file}: {invalid.errors[0]}") from None
    finally:
        Path(name).unlink(missing_ok=True)
