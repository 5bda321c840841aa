"""grants.yaml beside routes.yaml: read strictly, every signature verified, taken whole or not at all.

Rule: only who `grants.signers` names can grant, for `max_duration` at most; a grant that has ended is still verified.
Invariant: a file that does not hold says every reason with its place, and grants nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.checks.report import Report
from gateway.config.checks.rules import judge_rule
from gateway.config.load import load, load_other
from gateway.config.problem import ConfigInvalid, Problem
from gateway.config.schema import Config
from gateway.config.schema.grants import Granted, GrantFile, Grants, granted
from gateway.config.schema.units import in_words
from gateway.kernel.patterns.values import compile_values
from gateway.kernel.strict import NotStrict, decode_base64url
from gateway.model.place import Place

if TYPE_CHECKING:  # where nothing is granted, nothing of it is loaded
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_FILE = "grants.yaml"


def grants_path(config: Config) -> Path:
    """Where the grants of a config are: beside its file."""
    return config.path.parent / _FILE


def load_with_grants(path: Path, *, now: float | None = None) -> Config:
    """The config and its grants, as what serves has them. Raises ConfigUnreadable, ConfigInvalid.

    `now` (seconds since 1970, default the clock) judges the dates of certificates.
    """
    config = load(path, now=now)
    try:
        config = with_grants(config)
    except ConfigInvalid as invalid:
        raise ConfigInvalid(invalid.errors, config.warnings) from None
    names = [route.name for route in config.routes]
    nowhere = [
        Problem(each.rule.where, f"no route is named like {pattern!r}: the grant covers nothing by it")
        for each in config.granted
        for pattern in each.routes
        if not any(map(compile_values([pattern]), names))
    ]
    return config.replace(warnings=(*config.warnings, *nowhere)) if nowhere else config


def with_grants(config: Config) -> Config:
    """`config` with the grants beside it. Raises ConfigUnreadable, ConfigInvalid."""
    path = grants_path(config)
    if config.grants is None:
        if not path.exists():
            return config
        unread = Problem(Place(str(path), 1, 1), "nobody is named who may grant: the file is not read", _NAME_THEM)
        return config.replace(warnings=(*config.warnings, unread))
    return config.replace(granted=read_grants(path, config.grants))


_NAME_THEM = "write grants: {signers: {NAME: FILE}} into routes.yaml"


def read_grants(path: Path, settings: Grants) -> tuple[Granted, ...]:
    """The grants of a file; none where there is no file. Raises ConfigUnreadable, or ConfigInvalid with every error."""
    if not path.exists():
        return ()
    errors: list[Problem] = []
    file = load_other(path, GrantFile, judge=_judge_rules, literal=True)
    keys = {name: _public(key) for name, key in settings.signers.items()}
    found: list[Granted] = []
    names: set[str] = set()
    for grant in file.grants:
        public = keys.get(grant.by)
        if grant.name in names:
            errors.append(Problem(grant.where, f"two grants are named {grant.name!r}"))
        elif public is None:
            errors.append(Problem(grant.where, f"{grant.by!r} is none of grants.signers: who may grant is named there"))
        elif not _verifies(public, grant.signature, grant.payload):
            errors.append(Problem(grant.where, f"the signature of {grant.by} does not hold: the grant was changed"))
        elif not 0 < grant.until - grant.issued <= settings.max_duration:
            longest = in_words(settings.max_duration)
            errors.append(Problem(grant.where, f"a grant ends after it begins, and lasts {longest} at most"))
        else:
            found.append(granted(grant, settings.signers[grant.by], public.public_bytes_raw()))
        names.add(grant.name)
    if errors:
        raise ConfigInvalid(errors)
    return tuple(found)


def still_granted(before: Sequence[Granted], settings: Grants | None) -> tuple[Granted, ...]:
    """Of grants that were verified, those whose signer may still grant, with the same key."""
    if settings is None or not before:
        return ()
    keys: Mapping[str, bytes] = {
        name: key.public_bytes_raw() for name, path in settings.signers.items() if (key := _public(path)) is not None
    }
    return tuple(
        each for each in before if keys.get(each.by) == each.public and each.ends - each.begins <= settings.max_duration
    )


def _public(path: Path) -> "Ed25519PublicKey | None":
    from gateway.kernel.ed25519 import read_public_key

    try:
        return read_public_key(path)
    except (OSError, ValueError):
        return None


def _verifies(key: "Ed25519PublicKey", signature: str, payload: bytes) -> bool:
    from gateway.kernel.ed25519 import verifies

    try:
        return verifies(key, decode_base64url(signature.encode()), payload)
    except NotStrict:
        return False


def _judge_rules(file: GrantFile, report: Report) -> None:
    for index, grant in enumerate(file.grants):
        report.each(("grants", index, "routes"), grant.routes, lambda text: compile_values([text]))
        judge_rule(report, ("grants", index, "rule"), grant.rule, deny=False)
