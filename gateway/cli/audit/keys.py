"""The public keys by which a log's checkpoints are judged."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.audit.line import Verify
from gateway.cli.output import CannotTell
from gateway.model.place import Place

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def add_key(parser: argparse.ArgumentParser) -> None:
    """Declare --key."""
    parser.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="public key (PEM) that checkpoints are signed with; default: that of the config; may be repeated",
    )


def keys_of(args: argparse.Namespace) -> list[Verify]:
    """Those that were given, else the config's. Raises CannotTell."""
    return [_read_key(path) for path in args.key] if args.key else _configured_key(Path(args.config))


def _read_key(path: Path) -> Verify:
    """An Ed25519 public key. Raises CannotTell."""
    from gateway.kernel.ed25519 import read_public_key

    try:
        return _verifier(read_public_key(path))
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}", Place(str(path), 0, 0)) from None
    except ValueError as error:
        raise CannotTell(str(error), Place(str(path), 0, 0)) from None


def _configured_key(config: Path) -> list[Verify]:
    """The public half of the config's `audit.signing_key`; none where there is no usable config."""
    from gateway.config.load import load
    from gateway.config.problem import ConfigInvalid, ConfigUnreadable
    from gateway.kernel.ed25519 import read_private_key

    try:
        path = load(config).audit.signing_key
        if path is None:
            return []
        return [_verifier(read_private_key(path).public_key())]
    except (ConfigInvalid, ConfigUnreadable, OSError, ValueError, TypeError):
        return []  # the report says that signatures were not checked


def _verifier(key: "Ed25519PublicKey") -> Verify:
    from gateway.kernel.ed25519 import verifies

    return lambda signature, message: verifies(key, signature, message)
