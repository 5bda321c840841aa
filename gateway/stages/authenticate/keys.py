"""An issuer's verification keys, read from a JWK Set (RFC 7517).

Rule: a key verifies only what its kty, crv, alg, use and key_ops all allow; which one is chosen by (kid, alg) in here.
Invariant: no private or symmetric key is ever held, and no key can verify with an algorithm of another family.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.kernel.strict import NotStrict, decode_base64url, parse_object
from gateway.model.json import JSON
from gateway.model.noun import noun

_Key = TypeVar("_Key", RSAKey, ECKey, OKPKey)
_MAX_KEYS = 100
_RSA_BITS = range(2048, 8192 + 1)
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_ED25519 = ("EdDSA", "Ed25519")  # RFC 8037 and its successor RFC 9864: two names of one algorithm
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
ALGORITHMS = frozenset((*_RSA_ALGORITHMS, *_EC_ALGORITHMS.values(), *_ED25519))

# ROCA (CVE-2017-15361): a modulus made by Infineon's library is a power of 65537 modulo each of these primes.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA = tuple((p, frozenset(pow(65537, e, p) for e in range(p))) for p in _ROCA_PRIMES)


class Algorithm(Protocol):
    """A signature algorithm of joserfc's registry."""

    def verify(self, msg: bytes, sig: bytes, key: RSAKey | ECKey | OKPKey) -> bool: ...


@noun
class VerificationKey:
    """One key for one algorithm: joserfc verifies."""

    algorithm: Algorithm
    key: RSAKey | ECKey | OKPKey

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """True when `signature` over `signing_input` is this key's."""
        try:
            return self.algorithm.verify(signing_input, signature, self.key)
        except (JoseError, ValueError, TypeError):
            return False


class KeySet:
    """The keys of one issuer. Never changes."""

    __slots__ = ("_by_choice", "_kids", "alarms")

    def __init__(
        self, by_choice: Mapping[tuple[str | None, str], tuple[VerificationKey, ...]], alarms: tuple[str, ...]
    ):
        """`by_choice`: the keys by (kid, alg); `alarms`: what the operator should hear of, without values."""
        self._by_choice = by_choice
        self._kids = frozenset(kid for kid, _ in by_choice if kid is not None)
        self.alarms = alarms

    def __repr__(self) -> str:
        return f"KeySet({len(self._kids)} named keys)"

    def knows(self, kid: str) -> bool:
        """True when a usable key of that name is in the set, for whatever algorithm."""
        return kid in self._kids

    def find(self, kid: str | None, alg: str) -> VerificationKey | None:
        """The one key for (kid, alg); without a kid only where exactly one key fits (RFC 8725 section 3.10)."""
        if kid is None:
            fitting = [key for (_, held), keys in self._by_choice.items() if held == alg for key in keys]
        else:
            fitting = list(self._by_choice.get((kid, alg), ()))
        return fitting[0] if len(fitting) == 1 else None


def parse_key_set(data: bytes) -> KeySet:
    """The usable keys of a JWK Set. Raises ValueError when it is none, holds over 100 keys, or none is usable.

    Unknown and unfit keys are skipped (RFC 7517 section 5); private and symmetric ones too, with an alarm.
    """
    try:
        keys = parse_object(data).get("keys")
    except NotStrict as error:
        raise ValueError(f"the key set is {error}") from None
    if not isinstance(keys, list):
        raise ValueError('the key set has no list "keys"')
    if len(keys) > _MAX_KEYS:
        raise ValueError(f"the key set has more than {_MAX_KEYS} keys")
    alarms: list[str] = []
    by_choice: dict[tuple[str | None, str], tuple[VerificationKey, ...]] = {}
    for position, jwk in enumerate(keys):
        try:
            kid, usable = _read(jwk)
        except ValueError as error:
            alarms.append(f"key {position} is ignored: {error}")
            continue
        for alg, key in usable.items():
            by_choice[kid, alg] = (*by_choice.get((kid, alg), ()), key)
    if not by_choice:
        raise ValueError("the key set holds no key that can verify a token")
    return KeySet(by_choice, tuple(alarms))


def read_proof_key(jwk: JSON, alg: str) -> VerificationKey | None:
    """The public key that a proof of possession brings along, for `alg`; None where it is not one for that.

    Raises ValueError for what is no public key, and for a private or symmetric one (RFC 9449 section 4.3).
    """
    return _read(jwk)[1].get(alg)


def _read(jwk: JSON) -> tuple[str | None, dict[str, VerificationKey]]:
    """The key's name and what it verifies; nothing for keys that are simply for something else. Raises ValueError."""
    if not isinstance(jwk, Mapping):
        raise ValueError("it is not an object")
    kid, kty, only = jwk.get("kid"), jwk.get("kty"), jwk.get("alg")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("its kid is not a string")
    if kty == "oct" or not _PRIVATE.isdisjoint(jwk):
        raise ValueError("it is a private or symmetric key, and no longer secret: the provider must replace it")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or not (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    ):
        return kid, {}
    algorithms: tuple[str, ...]
    key: RSAKey | ECKey | OKPKey
    match kty:
        case "RSA":
            algorithms, key = _RSA_ALGORITHMS, _rsa(jwk)
        case "EC" if jwk.get("crv") in _EC_ALGORITHMS:
            algorithms, key = (_EC_ALGORITHMS[str(jwk["crv"])],), _import(ECKey, jwk, "crv", "x", "y")
        case "OKP" if jwk.get("crv") == "Ed25519":
            algorithms, key = _ED25519, _import(OKPKey, jwk, "crv", "x")
        case _:
            return kid, {}
    if only in _ED25519:
        only = None  # either name of the one algorithm
        algorithms = tuple(alg for alg in algorithms if alg in _ED25519)
    return kid, {alg: VerificationKey(_algorithm(alg), key) for alg in algorithms if only is None or alg == only}


def _algorithm(alg: str) -> Algorithm:
    return JWSRegistry.algorithms["Ed25519" if alg == "EdDSA" else alg]


def _rsa(jwk: Mapping[str, JSON]) -> RSAKey:
    n, e = (int.from_bytes(_octets(jwk, member)) for member in ("n", "e"))
    if n.bit_length() not in _RSA_BITS:
        raise ValueError("its RSA modulus has not 2048 to 8192 bits")
    if e < 3 or e % 2 == 0 or e.bit_length() > 32:
        raise ValueError("its RSA exponent is even, below 3 or over 32 bits")
    if all(n % prime in powers for prime, powers in _ROCA):
        raise ValueError("its RSA modulus bears the mark of a broken generator (ROCA)")
    return _import(RSAKey, jwk, "n", "e")


def _octets(jwk: Mapping[str, JSON], member: str) -> bytes:
    text = jwk.get(member)
    if not isinstance(text, str):
        raise ValueError(f"its {member} is not a string")
    try:
        return decode_base64url(text.encode())
    except NotStrict as error:
        raise ValueError(f"its {member} is {error}") from None


def _import(kind: type[_Key], jwk: Mapping[str, JSON], *members: str) -> _Key:
    """Import these members and no other, so that nothing else in the JWK takes part. Raises ValueError."""
    wanted = {member: str(jwk.get(member)) for member in members}
    for member in members:
        if member != "crv":
            _octets(jwk, member)
    try:
        return kind.import_key({"kty": str(jwk["kty"]), **wanted})
    except (JoseError, ValueError, TypeError):
        raise ValueError("its values make no public key") from None
