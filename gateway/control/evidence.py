"""Evidence for a request that nobody sent: claims and ids taken as proved, or a real token or certificate, offline.

Only the proof is made up or read from files; all that is judged of it is judged by the stage that serves.
Nothing here reaches for the network: a token whose keys are not in a file cannot be judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.schema import Config, Issuer, Route
from gateway.control.build.authenticate import CredentialSources, build_issuers, credential_sources
from gateway.control.feeds.feed import FeedError
from gateway.kernel.patterns.values import compile_values
from gateway.kernel.strict import NotStrict, decode_base64url, parse_object
from gateway.kernel.x509.chain import openssl_refuses
from gateway.kernel.x509.fault import CertificateFault
from gateway.kernel.x509.leaf import read_leaf, spiffe_id
from gateway.kernel.x509.trust import Trust, parse_certificates
from gateway.model.json import JSON, Claims
from gateway.model.place import Place
from gateway.model.principal import User, Workload
from gateway.model.refused import Refused
from gateway.stages.authenticate.assumed import AssumedCertificate, AssumedToken, FixedKeys
from gateway.stages.authenticate.authenticators.certificate import CertificateAuthenticator
from gateway.stages.authenticate.authenticators.introspection import is_jwt
from gateway.stages.authenticate.authenticators.jwt import JwtVerifier
from gateway.stages.authenticate.claims import FOREVER
from gateway.stages.authenticate.evidence import CertificateJudge, TokenVerifier
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.keys import KeySet, parse_key_set

_EXPIRES = 300  # seconds: what an assumed token has left where its claims do not say
_NO_KEYS = KeySet({}, ())


class CannotJudge(Exception):  # noqa: N818 - it is an answer
    """The evidence cannot be had; the message says what to give."""

    def __init__(self, message: str, where: Place | None = None) -> None:
        """`where`: the file at fault, and the place in it if one is known (else line 0)."""
        super().__init__(message)
        self.where = where


@dataclass(frozen=True, slots=True)
class TokenEvidence:
    """A token: what is sent, who proves it, and whom it presents (None: nobody until it is proved)."""

    verifier: TokenVerifier | None
    sent: str | None = None
    presented: User | None = None


@dataclass(frozen=True, slots=True)
class CertificateEvidence:
    """A client certificate: what is sent (DER, leaf first), who judges it, and whom it presents."""

    judge: CertificateJudge
    sent: tuple[bytes, ...] = ()
    presented: Workload | None = None
    closed: bool = False  # the handshake would refuse it: no configured authority signed it, or its dates do not hold


def no_token(config: Config) -> TokenEvidence:
    """Nothing is sent."""
    return TokenEvidence(_verifier(config, None, None) if config.issuers else None)


def assumed_token(
    config: Config, route: Route | None, claims: Mapping[str, JSON], issuer: str | None, now: float
) -> TokenEvidence:
    """Claims taken as verified; iss, aud (the first that the route accepts) and exp (now + 5 m) where they are absent.

    Raises CannotJudge.
    """
    chosen = _issuer_of(config, claims.get("iss"), issuer)
    required = route.requires.audiences if route is not None and route.requires is not None else ()
    audience = (required or chosen.audiences)[0]  # where any will do, "*" is one like any
    filled: dict[str, JSON] = {"iss": chosen.issuer, "exp": int(now) + _EXPIRES, "aud": audience}
    whole: Claims = {**filled, **claims}
    verifier = AssumedToken(keyless_issuers(config)[chosen.name], whole)
    subject = whole.get("sub")
    presented = None
    if isinstance(subject, str) and chosen.mode == "enforce":
        presented = User(chosen.issuer, chosen.name, subject, whole, FOREVER)
    return TokenEvidence(verifier, "assumed", presented)


def keyless_issuers(config: Config) -> dict[str, TrustedIssuer]:
    """The issuers by name, for tokens that nobody verifies."""
    return build_issuers(config, dict.fromkeys(config.issuers, FixedKeys(_NO_KEYS)))


def real_token(config: Config, token: str, jwks: Path | None) -> TokenEvidence:
    """A token that is really verified, by the keys in a file: `jwks`, else the issuer's own. Raises CannotJudge."""
    if not is_jwt(token) and any(issuer.introspection is not None for issuer in config.issuers.values()):
        raise CannotJudge("only its issuer can read an opaque token: give what it says with --claims")
    said = _unverified_issuer(token)
    chosen = next((issuer for issuer in config.issuers.values() if issuer.issuer == said), None)
    if chosen is None:
        return TokenEvidence(_verifier(config, None, None) if config.issuers else None, token)
    file = jwks if jwks is not None else chosen.jwks.file
    if file is None:
        raise CannotJudge(f"the keys of issuer {chosen.name} are not in a file: give them with --jwks FILE")
    return TokenEvidence(_verifier(config, chosen.name, file), token)


def sent_token(config: Config, headers: Sequence[tuple[str, str]], jwks: Path | None = None) -> TokenEvidence:
    """What stands in an Authorization field among `headers`, really verified; nothing where none does.

    Raises CannotJudge.
    """
    sent = [value for name, value in headers if name.lower() == "authorization"]
    if sent and sent[0].lower().startswith(("bearer ", "dpop ")):
        return TokenEvidence(real_token(config, sent[0].partition(" ")[2].strip(), jwks).verifier)
    return no_token(config)


def no_certificate(config: Config) -> CertificateEvidence:
    """No certificate is sent."""
    return CertificateEvidence(assumed_judge(config, ""))


def assumed_certificate(config: Config, spiffe_id: str) -> CertificateEvidence:
    """A SPIFFE id or `dns:NAME` taken as proved, where the file has an authority for it."""
    judge = assumed_judge(config, spiffe_id)
    presented = judge.presented()
    unsigned = presented is not None and not judge.vouched(presented)
    if presented is not None and presented.dns_names:
        unsigned = not config.client_authorities  # signed by one of them, which may not vouch for this name
    return CertificateEvidence(judge, (b"assumed",), presented, unsigned)


def assumed_judge(config: Config, identity: str) -> AssumedCertificate:
    """Who judges an identity that is taken as proved."""
    names = [name for authority in config.client_authorities.values() for name in authority.names]
    return AssumedCertificate(
        identity, config.trust_domains, compile_values(names, ignore_case=True) if names else None
    )


def real_certificate(config: Config, file: Path, now: float) -> CertificateEvidence:
    """A certificate file (PEM, leaf first) that is really judged. Raises CannotJudge."""
    try:
        chain = parse_certificates(file.read_bytes())
    except OSError as error:
        raise CannotJudge(f"cannot read {file}: {(error.strerror or str(error)).lower()}", _whole(file)) from None
    except ValueError as error:
        raise CannotJudge(f"{file}: {error}", _whole(file)) from None
    sources = _sources(config, now)
    sent = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
    unknown = _unknown_domain(sent[0], sources.trust.current)
    if unknown is not None:
        raise CannotJudge(f"the bundle of {unknown} lies in no file: give the SPIFFE id with --client")
    asked = _asked_about(sources.certificates, sent, now)
    if asked is not None:
        raise CannotJudge(f"only the OCSP responder of {asked} says whether it is revoked: give the id with --client")
    return CertificateEvidence(sources.certificates, sent, None, _closed(sent, sources.trust.current, now))


def _unknown_domain(leaf: bytes, trust: Trust) -> str | None:
    """The trust domain of a certificate whose bundle only a gateway that serves has."""
    try:
        identity = spiffe_id(read_leaf(leaf))
    except CertificateFault:
        return None
    authority = trust.domains.get(identity.trust_domain) if identity is not None else None
    return authority.name if authority is not None and not authority.known else None


def _asked_about(certificates: CertificateAuthenticator, chain: tuple[bytes, ...], now: float) -> str | None:
    """Whose responder a gateway that serves would ask about a chain that holds."""
    try:
        asked = certificates.proof(chain, now).questions
    except Refused:
        return None
    return asked[0].authority if asked else None


def _whole(file: Path) -> Place:
    return Place(str(file), 0, 0)


def _sources(config: Config, now: float) -> CredentialSources:
    try:
        return credential_sources(config, None, clock=lambda: now)
    except FeedError as error:
        raise CannotJudge(str(error)) from None


def _closed(chain: tuple[bytes, ...], trust: Trust, now: float) -> bool:
    """Would OpenSSL, which pools every configured authority, refuse this chain? Revocation is judged later."""
    authorities = [*trust.domains.values(), *(each.authority for each in trust.client_authorities)]
    try:
        leaf = read_leaf(chain[0])
    except CertificateFault:
        return True
    return all(openssl_refuses(leaf, chain[1:], authority, now) for authority in authorities)


def _verifier(config: Config, issuer: str | None, file: Path | None) -> JwtVerifier:
    keys = dict.fromkeys(config.issuers, FixedKeys(_NO_KEYS))
    if issuer is not None and file is not None:
        keys[issuer] = FixedKeys(_read_keys(file))
    return JwtVerifier(build_issuers(config, keys).values())


def _read_keys(file: Path) -> KeySet:
    try:
        return parse_key_set(file.read_bytes())
    except OSError as error:
        raise CannotJudge(f"cannot read {file}: {(error.strerror or str(error)).lower()}", _whole(file)) from None
    except ValueError as error:
        raise CannotJudge(f"{file}: {error}", _whole(file)) from None


def _issuer_of(config: Config, said: JSON, named: str | None) -> Issuer:
    if named is not None:
        if named not in config.issuers:
            known = ", ".join(config.issuers) or "none"
            raise CannotJudge(f"no issuer is named {named!r}: the file has {known}")
        return config.issuers[named]
    for issuer in config.issuers.values():
        if issuer.issuer == said:
            return issuer
    if len(config.issuers) == 1 and said is None:
        return next(iter(config.issuers.values()))
    if not config.issuers:
        raise CannotJudge("the file has no issuers: nobody's token is believed")
    raise CannotJudge(f"say whose token it is with --issuer: {', '.join(config.issuers)}")


def _unverified_issuer(token: str) -> JSON:
    """Who a token says made it: only to find the keys that decide."""
    try:
        return parse_object(decode_base64url(token.split(".")[1].encode())).get("iss")
    except (NotStrict, IndexError, UnicodeEncodeError):
        return None
