"""What judges DPoP proofs: where used ones are remembered, and the key of the nonces.

Rule: with Redis all workers and replicas share what was used; without, each process knows its own.
Invariant: the key is made once for a `state_dir`, mode 0600 from its first byte, whichever worker comes first.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from gateway.config.schema import Config
from gateway.kernel.store import RedisStore
from gateway.stages.authenticate.bindings.dpop import Proofs
from gateway.stages.authenticate.bindings.nonces import Nonces
from gateway.stages.authenticate.bindings.replays import MemoryReplays, SharedReplays

KEY_FILE = "dpop-nonce.key"
_KEY_LENGTH = 32  # bytes


def build_proofs(config: Config, memory: MemoryReplays, store: RedisStore | None) -> Proofs:
    """The judge of proofs for `config`; `memory` outlives it. Raises OSError or ValueError for an unusable key file."""
    wanted = any(issuer.dpop_nonce == "on" for issuer in config.issuers.values())
    nonces = Nonces(shared_key(config.state_dir)) if wanted else None
    return Proofs(SharedReplays(store) if store is not None else memory, nonces)


def shared_key(state_dir: Path) -> bytes:
    """The key that all who share `state_dir` share; made when there is none. Raises OSError, ValueError."""
    path = state_dir / KEY_FILE
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} may be read by others than its owner: chmod 600, or remove it")
    key = path.read_bytes()
    if len(key) != _KEY_LENGTH:
        raise ValueError(f"{path} holds no key of {_KEY_LENGTH} bytes: remove it, and a new one is made")
    return key


def _make(path: Path) -> None:
    """Written aside and linked into place: of several workers one is first, and nobody reads half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_KEY_LENGTH))
    finally:
        os.close(descriptor)
    with suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
