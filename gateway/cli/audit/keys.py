"""The public keys by which a log's checkpoints are judged."""

import argparse
from pathlib import Path

from gateway.cli.audit.line import Verify
from gateway.cli.output import CannotTell
from gateway.model.place import Place


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
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _verifier(load_pem_public_key(path.read_bytes()), path)
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}", Place(str(path), 0, 0)) from None
    except ValueError:
        raise CannotTell(f"{path}: holds no public key (PEM)", Place(str(path), 0, 0)) from None


def _configured_key(config: Path) -> list[Verify]:
    """The public half of the config's `audit.signing_key`; none where there is no usable config."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from gateway.config.load import load
    from gateway.config.problem import ConfigInvalid, ConfigUnreadable

    try:
        path = load(config).audit.signing_key
        if path is None:
            return []
        return [_verifier(load_pem_private_key(path.read_bytes(), None).public_key(), path)]
    except (ConfigInvalid, ConfigUnreadable, OSError, ValueError, TypeError):
        return []  # the report says that signatures were not checked


def _verifier(key: object, path: Path) -> Verify:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(key, Ed25519PublicKey):
        raise CannotTell(f"{path}: is no Ed25519 key")

    def verify(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify
