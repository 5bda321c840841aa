"""Where the lines of an audit directory stand: the streams, and their segments in order."""

import re
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.output import CannotTell
from gateway.model.place import Place

NO_LOG = "{}: holds no audit log (files named STREAM-NNNNNN.jsonl)"
_SEGMENT_FILE = re.compile(r"(.+)-(\d{6,})\.jsonl")


def segments(directory: Path) -> dict[str, dict[int, Path]]:
    """By stream and number; a stream whose files are all gone is there by its lock. Raises OSError."""
    found: dict[str, dict[int, Path]] = {}
    for path in directory.iterdir():
        if name := _SEGMENT_FILE.fullmatch(path.name):
            found.setdefault(name[1], {})[int(name[2])] = path
        elif path.suffix == ".lock":
            found.setdefault(path.stem, {})
    return found


def streams(directory: Path) -> dict[str, list[Path]]:
    """The segments of each stream that has any, oldest first. Raises CannotTell."""
    if not directory.is_dir():
        raise CannotTell(f"{directory}: is no directory", Place(str(directory), 0, 0))
    found = {name: [files[number] for number in sorted(files)] for name, files in segments(directory).items() if files}
    if not found:
        raise CannotTell(NO_LOG.format(directory), Place(str(directory), 0, 0))
    return dict(sorted(found.items()))


def lines(files: list[Path]) -> Iterator[bytes]:
    """Every line, its newline included; a last one without it is still being written. Raises OSError."""
    for path in files:
        with path.open("rb", buffering=1 << 20) as file:
            yield from (line for line in file if line.endswith(b"\n"))
