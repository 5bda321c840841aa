"""What of the contract this build has, asked of the loader itself.

So a key that comes to be built is carried from that day on, without a line here.
"""

from collections.abc import Mapping, Sequence

from gateway.config import unbuilt
from gateway.config.document import NOWHERE, Block, Items
from gateway.config.tree import Gone


def is_built(config: Mapping[str, object]) -> bool:
    """True when no key or value of `config`, a part of a routes.yaml, is one that this build does not have."""
    root = _located(config)
    return isinstance(root, Block) and not unbuilt.refuse(root, Gone())


def _located(value: object) -> object:
    if isinstance(value, Mapping):
        return Block({str(key): _located(held) for key, held in value.items()}, NOWHERE)
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = Items(NOWHERE)
        items.extend(_located(held) for held in value)
        items.values_at.extend(NOWHERE for _ in value)
        return items
    return value
