"""`assertion`, and what routes ask of it.

A key that is made at the start is one process's: replicas that share a store would each sign with another.
"""

from pathlib import Path as FilePath

from gateway.config.checks.report import Report
from gateway.config.schema import Config, Identity
from gateway.config.schema.scalars import why
from gateway.config.tree import Path

_HERE: Path = ("assertion",)


def check(config: Config, report: Report) -> None:
    """The keys, who signs, and the claims that are repeated."""
    for index, route in enumerate(config.routes):
        path: Path = ("routes", index, "forward", "assertion")
        if route.forward.assertion.claims:
            if route.public:
                report.error_at_key(path, "backends of a public route are told of no caller")
            report.each((*path, "claims"), route.forward.assertion.claims, _judge_claim)
    assertion = config.assertion
    if assertion is None:
        return
    if assertion.key is not None:
        _readable(report, (*_HERE, "key"), assertion.key, private=True)
    elif config.store.get_secret_value() != "memory://" and not report.lost(assertion.where, "key"):
        report.error_at_key(
            _HERE,
            "without a key each replica would sign with its own, and store says that there are several",
            "add key",
        )
    for index, file in enumerate(assertion.previous):
        _readable(report, (*_HERE, "previous", index), file, private=False)
    unnamed = assertion.issuer is None and not report.lost(assertion.where, "issuer") and not report.lost_in("identity")
    if unnamed and (config.identity is None or not _names_itself(config.identity)):
        report.error_at_key(_HERE, "the gateway has no SPIFFE id to sign as", "add issuer")


def _names_itself(identity: Identity) -> bool:
    """True when its certificate is an SVID, or will be, or cannot be judged, which is told elsewhere."""
    from gateway.kernel.x509.leaf import pem_spiffe_id

    try:
        return identity.certificate is None or pem_spiffe_id(identity.certificate.read_bytes()) is not None
    except (OSError, ValueError):
        return True


def _judge_claim(name: str) -> None:
    from gateway.stages.forward.assertion import OWN_CLAIMS

    if name in OWN_CLAIMS:
        raise ValueError(f"{name!r} is a claim that the gateway makes itself")


def _readable(report: Report, path: Path, file: FilePath, *, private: bool) -> None:
    from gateway.kernel.es256 import read_es256, read_es256_public

    try:
        (read_es256 if private else read_es256_public)(file.read_bytes())
    except OSError as error:
        report.error(path, f"cannot read {file}: {why(error)}")
    except ValueError as error:
        report.error(path, f"{file} {error}")
