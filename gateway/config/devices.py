"""A file of devices (`posture.NAME.source: {file: FILE}`): facts by device, as YAML or JSON.

Rule: read whole and strictly, as routes.yaml is; one device that cannot be read refuses the file.
"""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.document import Block, Document, Items
from gateway.config.plain import Number
from gateway.model.json import JSON, Claims

_LARGEST = 64 * 1024 * 1024  # bytes


def read_devices(path: Path) -> Mapping[str, Claims]:
    """Facts by device. Raises OSError, or ValueError with the place of what is wrong."""
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST >> 20} MiB")
    try:
        document = Document(path.read_text(encoding="utf-8-sig"), str(path), lambda text, _: text)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if document.problems:
        first = document.problems[0]
        raise ValueError(f"{first.where}: {first}")
    root = document.root
    if not isinstance(root, Block):
        raise ValueError(f"{path} is no file of devices: write DEVICE: {{fact: value}} for each")
    devices: dict[str, Claims] = {}
    for device, facts in root.items():
        plain = _plain(facts)
        if not isinstance(plain, dict):
            raise ValueError(f"{root.values_at[device]}: facts are a mapping: write {{fact: value}}")
        devices[device] = plain
    return devices


def _plain(value: object) -> JSON:
    """The value without its places."""
    if isinstance(value, Block):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, Items):
        return [_plain(held) for held in value]
    if isinstance(value, Number):
        return float(value)
    if isinstance(value, str):
        return str(value)
    return value if isinstance(value, bool | int) or value is None else str(value)
