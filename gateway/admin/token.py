"""The token of a local admin address: random, for this machine's user alone.

Made anew at each start, mode 0600 from its first byte, put in place by one rename: no reader sees half of it.
"""

import os
import secrets
from pathlib import Path

TOKEN_FILE = "admin-token"


def make_local_token(state_dir: Path) -> str:
    """Write a fresh token to `state_dir`, which is made if absent, and return it. Raises OSError."""
    state_dir.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    fresh = state_dir / f".{TOKEN_FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, token.encode() + b"\n")
    finally:
        os.close(descriptor)
    fresh.replace(state_dir / TOKEN_FILE)
    return token
