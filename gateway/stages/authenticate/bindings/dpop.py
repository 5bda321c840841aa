"""Demonstrating proof of possession (RFC 9449): `cnf` member `jkt`, and the proofs that answer to it.

Rule: a proof is read as strictly as a token; what it does not fit is refused before its signature is looked at.
Invariant: a proof that was accepted is never accepted again, whatever becomes of its request.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import TypeAlias

from gateway.kernel.patterns.paths import AmbiguousPath, compile_normaliser
from gateway.kernel.strict import encode_base64url
from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused
from gateway.model.request import RequestContext
from gateway.stages.authenticate.bindings.nonces import Nonces
from gateway.stages.authenticate.bindings.replays import Replays
from gateway.stages.authenticate.evidence import Possession
from gateway.stages.authenticate.issuer import TrustedIssuer
from gateway.stages.authenticate.jose import Unverified, take_apart
from gateway.stages.authenticate.keys import VerificationKey, read_proof_key

MEMBER = "jkt"
PROOF_ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256")  # as a challenge names them
AHEAD = 5.0  # seconds by which a client's clock may be ahead of ours
_REMEMBERED = 1024  # keys
_DIGEST = 16  # bytes, of what names a proof
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
# Both sides of a comparison go through it, so it merges and keeps what a listener may have let through.
_normalise = compile_normaliser(merge_slashes=True, keep_encoded_slash=True, keep_semicolon=True)


_Key: TypeAlias = tuple[VerificationKey, str]  # and its thumbprint (RFC 7638)


def confirm(expected: JSON, possession: Possession) -> None:
    """The token must be bound to the key of this very request's proof.

    Raises Refused: BINDING_MISSING for an unbound token or a request without a proof, else BINDING_MISMATCH.
    """
    if expected is None:
        raise Refused(Reason.BINDING_MISSING, "the token is not bound to a key")
    if possession.key is None:
        raise Refused(Reason.BINDING_MISSING, "the token is bound to a key, and no proof of it counts")
    if not isinstance(expected, str) or not compare_digest(expected.encode(), possession.key.encode()):
        raise Refused(Reason.BINDING_MISMATCH, "the token is bound to another key")


@noun
class Proof:
    """A proof that fits its request; it counts once it is spent."""

    key: str  # thumbprint (RFC 7638)
    name: bytes  # of this proof among all
    nonce: JSON
    age: float  # seconds for which it is good


class Proofs:
    """Judges proofs. What was spent is remembered in `replays`, which outlives this object."""

    def __init__(self, replays: Replays, nonces: Nonces | None = None) -> None:
        """`nonces`: None where no issuer wants them."""
        self._replays = replays
        self._nonces = nonces
        self._keys: dict[tuple[str, ...], _Key] = {}  # of clients that come again: to import one costs half a proof

    def as_of(self, proved: float) -> "Proofs":
        """These, for a request that was let in at `proved`, seconds since the epoch: good as of then, and spent."""
        return _Spent(self, proved)

    def read(self, ctx: RequestContext, token: str, issuer: TrustedIssuer) -> Proof:
        """The proof that came with `token` (RFC 9449 section 4.3). Raises Refused(BINDING_MISSING | DPOP_INVALID)."""
        values = ctx.values.get("dpop")
        if values is None:
            raise Refused(Reason.BINDING_MISSING, "no DPoP proof was sent")
        if len(values) != 1:
            raise _invalid("more than one DPoP field")
        try:
            proof = take_apart(values[0])
        except Refused as refused:
            raise _invalid(f"the proof: {refused.detail}") from None
        if proof.typ != "dpop+jwt":
            raise _invalid("typ is not dpop+jwt")
        if proof.alg not in PROOF_ALGORITHMS:
            raise _invalid("the algorithm is not one for proofs")
        claims = proof.claims
        if claims.get("htm") != ctx.method:
            raise _invalid("htm is not the request's method")
        _check_target(claims.get("htu"), ctx)
        _check_time(claims.get("iat"), ctx.time, issuer.dpop_age)
        jti, ath = claims.get("jti"), claims.get("ath")
        if not isinstance(jti, str) or not jti:
            raise _invalid("jti is missing or no string")
        if not isinstance(ath, str) or not compare_digest(ath.encode(), _hash_of(token)):
            raise _invalid("ath is not the hash of the token")
        thumbprint = self._check_signature(proof)
        name = blake2b(f"{thumbprint}\n{jti}".encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
        return Proof(thumbprint, name.encode("ascii"), claims.get("nonce"), issuer.dpop_age)

    async def spend(self, proof: Proof, issuer: TrustedIssuer, now: float) -> None:
        """Take the proof, once for all. Raises Refused(DPOP_INVALID | STORE_UNAVAILABLE); waits for a shared store."""
        if issuer.dpop_nonce and self._nonces is not None and not self._nonces.good(proof.nonce, now):
            raise _invalid("nonce is not one of ours", Challenge(nonce=self._nonces.current(now)))
        if not await self._replays.first(proof.name, proof.age + 2 * AHEAD, now):
            raise _invalid("the proof was used before")

    def _check_signature(self, proof: Unverified) -> str:
        """The thumbprint of the key that signed it, which the proof brings along."""
        name = _name_of(proof.jwk, proof.alg)
        known = self._keys.get(name) if name is not None else None
        key = known or _import(proof.jwk, proof.alg)
        if not key[0].verifies(proof.signing_input, proof.signature):
            raise _invalid("the proof is not signed by its jwk")
        if known is None and name is not None:
            if len(self._keys) >= _REMEMBERED:
                del self._keys[next(iter(self._keys))]
            self._keys[name] = key
        return key[1]


class _Spent(Proofs):
    """The proofs of requests that were let in before."""

    def __init__(self, proofs: Proofs, proved: float) -> None:
        vars(self).update(vars(proofs))
        self._proved = proved

    def read(self, ctx: RequestContext, token: str, issuer: TrustedIssuer) -> Proof:
        return super().read(replace(ctx, time=self._proved), token, issuer)

    async def spend(self, proof: Proof, issuer: TrustedIssuer, now: float) -> None:
        """It was."""


def _check_target(htu: JSON, ctx: RequestContext) -> None:
    """The claim htu is the request's URI without query, as RFC 3986 section 6.2 compares (RFC 9449 section 4.3)."""
    if not isinstance(htu, str) or not htu.isascii() or "?" in htu or "#" in htu:
        raise _invalid("htu is missing, or no URI without query and fragment")
    scheme, _, rest = htu.partition("://")
    scheme = scheme.lower()
    authority, slash, path = rest.partition("/")
    if scheme != "https" and scheme != ctx.scheme:  # plain HTTP only where it is what the client speaks
        raise _invalid("htu is not an https URI")
    if _authority(authority, scheme) != _authority(ctx.authority, scheme):
        raise _invalid("htu is not at the request's Host")
    try:
        same = _normalise((slash + path).encode() or b"/") == _normalise(_path_of(ctx.head.target))
    except AmbiguousPath:
        same = False
    if not same:
        raise _invalid("htu has another path than the request")


def _authority(authority: str, scheme: str) -> str:
    return authority.lower().removesuffix(_DEFAULT_PORTS[scheme])


def _path_of(target: bytes) -> bytes:
    """The path of a request target as on the wire, without its query (RFC 9112 section 3.2)."""
    if target[:1] != b"/":
        rest = target.partition(b"://")[2].partition(b"?")[0]
        at = rest.find(b"/")
        return rest[at:] if at >= 0 else b"/"
    return target.partition(b"?")[0]


def _check_time(iat: JSON, now: float, age: float) -> None:
    if isinstance(iat, bool) or not isinstance(iat, int | float):
        raise _invalid("iat is missing or no number")
    if not now - age <= iat <= now + AHEAD:
        raise _invalid("iat is too old, or in the future")


def _name_of(jwk: JSON, alg: str) -> tuple[str, ...] | None:
    """All that a key is made of, every member of its `jwk`; None where one is no string."""
    if not isinstance(jwk, Mapping):
        return None
    name = [alg]
    for member, value in jwk.items():
        if not isinstance(value, str):
            return None
        name += (member, value)
    return tuple(name)


def _import(jwk: JSON, alg: str) -> _Key:
    try:
        key = read_proof_key(jwk, alg)
    except ValueError as error:
        raise _invalid(f"jwk: {error}") from None
    if key is None:
        raise _invalid("jwk is no key for the algorithm")
    return key, key.key.thumbprint()


def _hash_of(token: str) -> bytes:
    return encode_base64url(sha256(token.encode("ascii")).digest())


def _invalid(detail: str, challenge: Challenge | None = None) -> Refused:
    return Refused(Reason.DPOP_INVALID, detail, challenge=challenge)
