"""Hostile tokens (security.md section 1), each beside one that differs only in what is attacked and is accepted."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.model.principal import Principal
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate import RouteCredentials
from gateway.stages.authenticate.keys import parse_key_set
from gateway.testing.ca import Authority
from gateway.testing.clock import Clock
from gateway.testing.issuer import Issuer, SigningKey, base64url, compact, tampered
from tests.stages.authenticate.asking import NOW, PLAIN, Held, ask, key_set, reason, request, stage, trust, trusted

CLOCK = Clock(NOW)
ISSUER = Issuer("https://auth.example.com/realms/internal", algorithm="ES256", clock=CLOCK)
OTHER = Issuer("https://other.example", algorithm="ES256", clock=CLOCK)
OTHER.keys[0].kid = ISSUER.keys[0].kid  # two issuers, one kid (J16)
RSA_KEY = SigningKey("RS256")
ED_KEY = SigningKey("EdDSA")
ISSUER.keys += [RSA_KEY, ED_KEY]
KEY = ISSUER.keys[0]
PUBLIC = KEY.jwk.as_dict(private=False)
HMAC = {"alg": "HS256", "kid": RSA_KEY.kid}
P256_ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
MALFORMED, SIGNATURE, ALGORITHM = Reason.TOKEN_MALFORMED, Reason.TOKEN_SIGNATURE, Reason.TOKEN_ALGORITHM
TYPE, EXPIRED, EARLY = Reason.TOKEN_TYPE, Reason.TOKEN_EXPIRED, Reason.TOKEN_NOT_YET_VALID
AUDIENCE, UNKNOWN, WHO = Reason.TOKEN_AUDIENCE, Reason.TOKEN_KEY_UNKNOWN, Reason.TOKEN_ISSUER


def claims(**changes: Any) -> dict[str, Any]:
    right = {"iss": ISSUER.url, "sub": "alice", "aud": "api-service", "iat": int(NOW), "exp": int(NOW) + 300}
    return {name: value for name, value in {**right, **changes}.items() if value is not None}


def raw(payload: bytes | None = None, header: bytes | None = None, **header_changes: Any) -> str:
    """A properly signed token over exactly these bytes."""
    members = {"alg": "ES256", "kid": KEY.kid, "typ": "JWT", **header_changes}
    if header is None:
        header = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    return compact(header, payload if payload is not None else json.dumps(claims()).encode(), KEY.sign)


def payload_with(text: str) -> bytes:
    """The right claims, with `text` as a further member."""
    return json.dumps(claims()).encode()[:-1] + b", " + text.encode() + b"}"


def part(position: int, change: Callable[[str], str]) -> str:
    parts = ISSUER.token().split(".")
    parts[position] = change(parts[position])
    return ".".join(parts)


def padded(text: str) -> str:
    return text + "=" * (-len(text) % 4 or 4)


def stray_bits(position: int) -> str:
    """The same octets spelled with non-zero trailing bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sub = "a"
    while True:
        parts = ISSUER.token(sub).split(".")
        if len(parts[position]) % 4:
            last = alphabet.index(parts[position][-1])
            parts[position] = parts[position][:-1] + alphabet[last + 1]
            return ".".join(parts)
        sub += "a"


def hmac_with(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def der_signature(message: bytes) -> bytes:
    private = KEY.jwk.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.sign(message, ec.ECDSA(hashes.SHA256()))


def public_forms() -> dict[str, bytes]:
    """The RSA public key in every form that has been taken for an HMAC secret (J13)."""
    public = RSA_KEY.jwk.public_key
    pem, openssh, der = serialization.Encoding.PEM, serialization.Encoding.OpenSSH, serialization.Encoding.DER
    spki, pkcs1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    return {
        "pem": public.public_bytes(pem, spki),
        "pkcs1": public.public_bytes(pem, pkcs1),
        "der": public.public_bytes(der, spki),
        "openssh": public.public_bytes(openssh, serialization.PublicFormat.OpenSSH),
        "jwk": json.dumps(RSA_KEY.jwk.as_dict(private=False)).encode(),
        "n": base64.urlsafe_b64decode(str(RSA_KEY.public()["n"]) + "=="),
    }


def big(bytes_wanted: int) -> str:
    token = ISSUER.token(pad="x" * (bytes_wanted * 3 // 4 - 300))
    while len(token) < bytes_wanted:
        token = ISSUER.token(pad="x" * (bytes_wanted * 3 // 4 - 300 + (bytes_wanted - len(token))))
    return token


def forged(**headers: Any) -> str:
    """A token of ISSUER's by its name, signed by somebody else's key."""
    return OTHER.token(iss=ISSUER.url, headers=headers)


def cases(*tables: Mapping[str, tuple[Reason | None, str]]) -> list[Any]:
    """What `parametrize` takes: (token, expected), under its rule's id."""
    return [
        pytest.param(token, expected, id=identifier)
        for table in tables
        for identifier, (expected, token) in table.items()
    ]


STRUCTURE: dict[str, tuple[Reason | None, str]] = {
    "J1-accepts-three-segments": (None, ISSUER.token()),
    "J1-two-segments": (MALFORMED, ISSUER.token().rpartition(".")[0]),
    "J1-four-segments": (MALFORMED, ISSUER.token() + ".AA"),
    "J1-five-segments-jwe": (MALFORMED, ISSUER.token() + ".AA.AA"),
    "J1-json-serialisation": (MALFORMED, '{"payload":"e30","signatures":[]}'),
    "J1-empty-segments": (MALFORMED, ".."),
    "J2-padded-header": (MALFORMED, part(0, padded)),
    "J2-padded-payload": (MALFORMED, part(1, padded)),
    "J2-padded-signature": (MALFORMED, part(2, padded)),
    "J2-space-inside": (MALFORMED, part(1, lambda text: text[:9] + " " + text[9:])),
    "J2-newline-inside": (MALFORMED, part(1, lambda text: text[:9] + "\n" + text[9:])),
    "J2-newline-at-end": (MALFORMED, ISSUER.token() + "\n"),
    "J2-standard-alphabet": (MALFORMED, part(1, lambda text: text[:-4] + "+/+/")),
    "J2-trailing-bits-in-signature": (MALFORMED, stray_bits(2)),
    "J2-trailing-bits-in-payload": (MALFORMED, stray_bits(1)),
    "J2-not-ascii": (MALFORMED, part(1, lambda text: text + "\u00e9")),
    "J3-accepts-7-kB": (None, big(7 * 1024)),
    "J3-over-8-kB": (MALFORMED, big(8 * 1024 + 1)),
    "J3-accepts-nested-10": (None, raw(payload_with('"a":' + "[" * 10 + "]" * 10))),
    "J3-nested-1000": (MALFORMED, raw(payload_with('"a":' + "[" * 1000 + "]" * 1000))),
    "J3-nested-100-objects": (MALFORMED, raw(payload_with('{"a":'.join(['"a":', *[""] * 100]) + "1" + "}" * 100))),
    "J5-accepts-names-in-two-objects": (None, raw(payload_with('"a":{"sub":"x"},"b":{"sub":"y"}'))),
    "J5-twice-in-claims": (MALFORMED, raw(payload_with('"sub":"root"'))),
    "J5-twice-after-unescaping": (MALFORMED, raw(payload_with('"\\u0073ub":"root"'))),
    "J5-twice-below": (MALFORMED, raw(payload_with('"a":{"b":[{"c":1,"c":2}]}'))),
    "J5-twice-in-header": (MALFORMED, raw(header=b'{"alg":"ES256","alg":"ES256"}')),
    "J6-accepts-escaped-emoji": (None, raw(payload_with('"n":"\\ud83d\\ude00"'))),
    "J6-bom": (MALFORMED, raw(b"\xef\xbb\xbf" + json.dumps(claims()).encode())),
    "J6-utf-16": (MALFORMED, raw(json.dumps(claims()).encode("utf-16"))),
    "J6-utf-32": (MALFORMED, raw(json.dumps(claims()).encode("utf-32-le"))),
    "J6-latin-1": (MALFORMED, raw(payload_with('"n":"\u00e9"').decode().encode("latin-1"))),
    "J6-lone-surrogate-escape": (MALFORMED, raw(payload_with('"n":"\\ud800"'))),
    "J6-lone-surrogate-in-name": (MALFORMED, raw(payload_with('"\\udc00":1'))),
    "J6-surrogate-bytes": (MALFORMED, raw(payload_with('"n":"X"').replace(b"X", b"\xed\xa0\x80"))),
    "J6-nan": (MALFORMED, raw(payload_with('"n":NaN'))),
    "J6-infinity": (MALFORMED, raw(payload_with('"n":-Infinity'))),
    "J6-overflow": (MALFORMED, raw(payload_with('"n":1e400'))),
    "J6-huge-integer": (MALFORMED, raw(payload_with('"n":1' + "0" * 400))),
    "J6-trailing-text": (MALFORMED, raw(json.dumps(claims()).encode() + b"{}")),
    "J7-header-is-a-list": (MALFORMED, raw(header=b'["ES256"]')),
    "J7-claims-are-a-list": (MALFORMED, raw(b"[]")),
    "J7-alg-is-a-list": (MALFORMED, raw(alg=["ES256"])),
    "J7-kid-is-a-number": (MALFORMED, raw(kid=1)),
    "J7-typ-is-a-list": (MALFORMED, raw(typ=["JWT"])),
    "J7-iss-is-a-list": (MALFORMED, raw(json.dumps(claims(iss=[ISSUER.url])).encode())),
    "J7-sub-is-a-number": (MALFORMED, raw(json.dumps(claims(sub=1)).encode())),
    "J7-sub-is-a-list": (MALFORMED, raw(json.dumps(claims(sub=["alice"])).encode())),
    "J7-sub-is-an-object": (MALFORMED, raw(json.dumps(claims(sub={"id": "alice"})).encode())),
    "J8-accepts-unknown-parameter": (None, raw(xyz="ignored")),
    "J8-crit-empty": (MALFORMED, raw(crit=[])),
    "J8-crit-registered-name": (MALFORMED, raw(crit=["alg"])),
    "J8-crit-twice": (MALFORMED, raw(crit=["exp", "exp"], exp=1)),
    "J8-crit-unknown": (MALFORMED, raw(crit=["xyz"], xyz=1)),
    "J8-crit-absent-member": (MALFORMED, raw(crit=["xyz"])),
    "J8-crit-no-list": (MALFORMED, raw(crit="xyz", xyz=1)),
    "J9-b64-false": (MALFORMED, raw(b64=False)),
    "J9-b64-false-and-crit": (MALFORMED, raw(b64=False, crit=["b64"])),
    "J10-nested": (TYPE, raw(cty="JWT")),
    "J10-zip": (MALFORMED, raw(zip="DEF")),
}
KEYS: dict[str, tuple[Reason | None, str]] = {
    "J11-accepts-rs256": (None, ISSUER.token(key=RSA_KEY)),
    "J11-accepts-eddsa": (None, ISSUER.token(key=ED_KEY)),
    "J11-alg-outside-the-issuers-list": (ALGORITHM, ISSUER.token(key=RSA_KEY, headers={"alg": "RS512"})),
    "J11-ps256-with-a-key-for-rs256": (ALGORITHM, ISSUER.token(key=RSA_KEY, headers={"alg": "PS256"})),
    "J11-es256-with-an-rsa-key": (ALGORITHM, ISSUER.token(headers={"kid": RSA_KEY.kid})),
    **{
        f"J12-alg-{alg}": (ALGORITHM, ISSUER.token(headers={"alg": alg}, sign=lambda _: b""))
        for alg in ("none", "None", "NONE", "nOnE", "")
    },
    "J12-none-with-a-signature": (ALGORITHM, ISSUER.token(headers={"alg": "none"})),
    "J12-empty-signature-es256": (SIGNATURE, ISSUER.token(sign=lambda _: b"")),
    "J12-empty-signature-rs256": (SIGNATURE, ISSUER.token(key=RSA_KEY, sign=lambda _: b"")),
    "J13-hmac-with-nothing": (ALGORITHM, ISSUER.token(headers=HMAC, sign=hmac_with(b""))),
    **{
        f"J13-hmac-with-{form}": (ALGORITHM, ISSUER.token(headers=HMAC, sign=hmac_with(secret)))
        for form, secret in public_forms().items()
    },
    "J14-embedded-jwk": (UNKNOWN, forged(kid="new", jwk=OTHER.keys[0].public())),
    "J14-embedded-jwk-and-a-kid-of-ours": (SIGNATURE, forged(jwk=OTHER.keys[0].public())),
    "J14-jku-and-x5u": (SIGNATURE, forged(jku="https://evil.example/jwks", x5u="https://evil.example")),
    "J14-accepts-x5c-unread": (None, ISSUER.token(headers={"x5c": ["AA"], "x5t": "x"})),
    "J15-kid-is-a-path": (UNKNOWN, ISSUER.token(headers={"kid": "../../dev/null"})),
    "J15-kid-is-sql": (UNKNOWN, ISSUER.token(headers={"kid": "' OR 1=1"})),
    "J15-kid-too-long": (MALFORMED, ISSUER.token(headers={"kid": "k" * 513})),
    "J15-kid-empty": (MALFORMED, ISSUER.token(headers={"kid": ""})),
    "J15-accepts-no-kid-where-one-key-fits": (None, ISSUER.token(headers={"kid": None})),
    "J16-same-kid-of-another-issuer": (SIGNATURE, OTHER.token(iss=ISSUER.url)),
    "J16-accepts-the-other-issuers-own": (None, OTHER.token()),
    "J18-der-signature": (SIGNATURE, ISSUER.token(sign=der_signature)),
    "J18-63-octets": (SIGNATURE, ISSUER.token(sign=lambda message: KEY.sign(message)[:63])),
    "J18-65-octets": (SIGNATURE, ISSUER.token(sign=lambda message: KEY.sign(message) + b"\0")),
    "J18-zero-r-and-s": (SIGNATURE, ISSUER.token(sign=lambda _: bytes(64))),
    "J18-r-and-s-are-n": (SIGNATURE, ISSUER.token(sign=lambda _: 2 * P256_ORDER)),
    "J18-es384-with-a-p256-key": (ALGORITHM, ISSUER.token(headers={"alg": "ES384"})),
    "J19-eddsa-key-under-es256": (ALGORITHM, ISSUER.token(key=ED_KEY, headers={"alg": "ES256"})),
    "J19-accepts-its-new-name": (None, ISSUER.token(key=ED_KEY, headers={"alg": "Ed25519"})),
    "J19-ed448": (ALGORITHM, ISSUER.token(key=ED_KEY, headers={"alg": "Ed448"})),
    "J11-claims-changed": (SIGNATURE, tampered(ISSUER.token(), sub="root")),
}
CLAIMS: dict[str, tuple[Reason | None, str]] = {
    **{
        f"J21-iss-{name}": (WHO, ISSUER.token(iss=iss))
        for name, iss in {
            "slash": ISSUER.url + "/",
            "prefix": ISSUER.url[:-1],
            "longer": ISSUER.url + ".evil.example",
            "upper": ISSUER.url.upper(),
            "empty": "",
            "space": ISSUER.url + " ",
        }.items()
    },
    "J21-no-iss": (WHO, raw(json.dumps(claims(iss=None)).encode())),
    "J22-accepts-a-list": (None, ISSUER.token(aud=["other", "api-service"])),
    "J22-no-aud": (AUDIENCE, ISSUER.token(aud=None)),
    "J22-empty-list": (AUDIENCE, ISSUER.token(aud=[])),
    "J22-empty-string": (AUDIENCE, ISSUER.token(aud="")),
    "J22-list-with-a-number": (AUDIENCE, ISSUER.token(aud=["api-service", 1])),
    "J22-longer": (AUDIENCE, ISSUER.token(aud="api-service-admin")),
    "J22-shorter": (AUDIENCE, ISSUER.token(aud="api")),
    "J22-other-case": (AUDIENCE, ISSUER.token(aud="API-Service")),
    "J22-object": (AUDIENCE, ISSUER.token(aud={"api-service": 1})),
    "J23-no-exp": (MALFORMED, ISSUER.token(exp=None)),
    "J23-exp-is-text": (MALFORMED, ISSUER.token(exp=str(int(NOW) + 300))),
    "J23-exp-is-true": (MALFORMED, ISSUER.token(exp=True)),
    "J23-nbf-is-true": (MALFORMED, ISSUER.token(nbf=True)),
    "J23-iat-is-text": (MALFORMED, ISSUER.token(iat="now")),
    "J23-nbf-is-null": (MALFORMED, raw(payload_with('"nbf":null'))),
    "J23-accepts-a-fraction": (None, ISSUER.token(exp=NOW + 1.5)),
    "J23-expired": (EXPIRED, ISSUER.token(exp=int(NOW) - 61)),
    "J23-negative": (EXPIRED, ISSUER.token(exp=-1)),
    "J24-accepts-expired-within-the-skew": (None, ISSUER.token(exp=int(NOW) - 59)),
    "J24-expired-at-the-end-of-the-skew": (EXPIRED, ISSUER.token(exp=int(NOW) - 60)),
    "J24-accepts-nbf-within-the-skew": (None, ISSUER.token(nbf=int(NOW) + 60)),
    "J24-nbf-beyond-the-skew": (EARLY, ISSUER.token(nbf=int(NOW) + 61)),
    "J24-iat-beyond-the-skew": (EARLY, ISSUER.token(iat=int(NOW) + 61)),
    "J25-accepts-at+jwt": (None, ISSUER.token(headers={"typ": "at+jwt"})),
    "J25-accepts-application/AT+JWT": (None, ISSUER.token(headers={"typ": "application/AT+JWT"})),
    "J25-accepts-no-typ": (None, ISSUER.token(headers={"typ": None})),
    **{
        f"J25-typ-{typ}": (TYPE, ISSUER.token(headers={"typ": typ}))
        for typ in ("logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "token-introspection+jwt", "id+jwt", "")
    },
    "J25-id-token-at_hash": (TYPE, ISSUER.token(at_hash="x")),
    "J25-id-token-c_hash": (TYPE, ISSUER.token(c_hash="x")),
    "J25-security-event": (TYPE, ISSUER.token(events={})),
    "J26-no-sub": (MALFORMED, raw(json.dumps(claims(sub=None)).encode())),
    "J27-empty-sub": (MALFORMED, ISSUER.token("")),
}
BOUND: dict[str, tuple[Reason | None, str]] = {
    "J34-jkt-as-bearer": (Reason.BINDING_MISSING, ISSUER.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0"})),
    "J34-x5t-without-a-certificate": (Reason.BINDING_MISSING, ISSUER.token(cnf={"x5t#S256": "A" * 43})),
    "J34-unknown-member-alone": (Reason.BINDING_MISSING, ISSUER.token(cnf={"jwe": "x"})),
    "J34-empty": (Reason.BINDING_MISSING, ISSUER.token(cnf={})),
    "J34-no-object": (MALFORMED, ISSUER.token(cnf="x5t#S256")),
}
ENTRIES = [trusted(ISSUER), trusted(OTHER, name="other")]


@pytest.mark.parametrize(("token", "expected"), cases(STRUCTURE, KEYS, CLAIMS, BOUND))
async def test_token(token: str, expected: Reason | None) -> None:
    assert await reason(stage(ENTRIES), request(f"Bearer {token}")) is expected


@pytest.mark.parametrize(("token", "expected"), cases(STRUCTURE, KEYS, CLAIMS, BOUND))
async def test_J4_no_refusal_tells_of_the_token(token: str, expected: Reason | None) -> None:
    answer = await ask(stage(ENTRIES), request(f"Bearer {token}"))
    if expected is None:
        assert isinstance(answer, Principal)
        return
    assert isinstance(answer, Refused)
    for piece in (*token.split("."), ISSUER.url, KEY.kid, "alice", "api-service", "evil.example"):
        if len(piece) > 3:
            assert piece not in f"{answer!r} {answer.detail}"


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        pytest.param({"use": "enc"}, "", id="J11-use-enc"),
        pytest.param({"key_ops": ["encrypt"]}, "", id="J11-key_ops-without-verify"),
        pytest.param({"alg": "ES384"}, "", id="J11-alg-of-another-curve"),
        pytest.param({"kty": "RSA"}, "n is not a string", id="J11-kty-of-another-family"),
        pytest.param({"x": PUBLIC["y"]}, "no public key", id="J18-point-off-the-curve"),
        pytest.param({"crv": "secp256k1"}, "", id="J18-curve-not-of-es256"),
        pytest.param({"d": "AAAA"}, "private", id="J20-private-member"),
        pytest.param({"kty": "oct", "k": "AAAA"}, "private", id="J20-symmetric"),
    ],
)
async def test_a_key_that_does_not_fit_verifies_nothing(jwk: Mapping[str, Any], why: str) -> None:
    right = {**KEY.public(), "use": "sig"}
    keys = parse_key_set(json.dumps({"keys": [{**right, **jwk}, RSA_KEY.public()]}).encode())
    entry = trusted(ISSUER, keys=Held(keys))
    assert await reason(stage([entry]), request(f"Bearer {ISSUER.token()}")) is UNKNOWN
    assert await reason(stage([entry]), request(f"Bearer {ISSUER.token(key=RSA_KEY)}")) is None
    assert [why in alarm for alarm in keys.alarms] == ([True] if why else [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda jwk: {**jwk, "n": base64url(b"\x80" + bytes(126) + b"\x01")}, id="J17-1024-bits"),
        pytest.param(lambda jwk: {**jwk, "n": base64url(b"\x80" + bytes(1024) + b"\x01")}, id="J17-over-8192-bits"),
        pytest.param(lambda jwk: {**jwk, "e": "AQ"}, id="J17-exponent-one"),
        pytest.param(lambda jwk: {**jwk, "e": "AQAA"}, id="J17-even-exponent"),
        pytest.param(lambda jwk: {**jwk, "e": base64url(b"\x01" + bytes(7) + b"\x01")}, id="J17-huge-exponent"),
    ],
)
async def test_weak_rsa_keys_are_never_taken(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    keys = parse_key_set(json.dumps({"keys": [change(RSA_KEY.public()), KEY.public()]}).encode())
    entry = trusted(ISSUER, keys=Held(keys))
    assert await reason(stage([entry]), request(f"Bearer {ISSUER.token(key=RSA_KEY)}")) is UNKNOWN
    assert len(keys.alarms) == 1


async def test_J17_a_real_1024_bit_key_is_refused() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    weak = {"kty": "RSA", "kid": "weak", "n": base64url(numbers.n.to_bytes(128)), "e": "AQAB"}
    with pytest.raises(ValueError, match="no key that can verify"):
        parse_key_set(json.dumps({"keys": [weak]}).encode())


async def test_J15_without_a_kid_two_keys_that_fit_are_no_choice() -> None:
    issuer = Issuer("https://two.example", clock=CLOCK)
    issuer.rotate()
    token = issuer.token(headers={"kid": None})
    assert await reason(stage([trusted(issuer)]), request(f"Bearer {token}")) is UNKNOWN
    assert await reason(stage([trusted(issuer)]), request(f"Bearer {issuer.token()}")) is None


async def test_J15_one_kid_on_two_keys_is_no_choice() -> None:
    twin = SigningKey("ES256", kid=KEY.kid)
    keys = parse_key_set(json.dumps({"keys": [KEY.public(), twin.public()]}).encode())
    entry = trusted(ISSUER, keys=Held(keys))
    assert await reason(stage([entry]), request(f"Bearer {ISSUER.token()}")) in (UNKNOWN, ALGORITHM)


@pytest.mark.parametrize(
    ("changes", "headers", "expected"),
    [
        pytest.param({"client_id": "web"}, {}, None, id="J26-accepts-the-whole-profile"),
        pytest.param({}, {}, MALFORMED, id="J26-no-client_id"),
        pytest.param({"client_id": "web", "jti": None}, {}, MALFORMED, id="J26-no-jti"),
        pytest.param({"client_id": "web", "iat": None}, {}, MALFORMED, id="J26-no-iat"),
        pytest.param({"client_id": "web"}, {"typ": "JWT"}, TYPE, id="J25-profile-refuses-plain-jwt"),
        pytest.param({"client_id": "web"}, {"typ": None}, TYPE, id="J25-profile-refuses-no-typ"),
    ],
)
async def test_profile(changes: dict[str, Any], headers: dict[str, Any], expected: Reason | None) -> None:
    token = ISSUER.token(headers=headers, **changes)
    assert await reason(stage([trusted(ISSUER, profile=True)]), request(f"Bearer {token}")) is expected


async def test_J27_one_sub_of_two_issuers_is_two_callers() -> None:
    judged = stage(ENTRIES)
    ours = await ask(judged, request(f"Bearer {ISSUER.token('alice')}"))
    theirs = await ask(judged, request(f"Bearer {OTHER.token('alice')}"))
    assert isinstance(ours, Principal)
    assert isinstance(theirs, Principal)
    assert ours.caller == f"{ISSUER.url}/alice"
    assert theirs.caller == f"{OTHER.url}/alice"


TOKEN = ISSUER.token()


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        pytest.param(f"Bearer {TOKEN}", None, id="J30-accepts-bearer"),
        pytest.param(f"bearer {TOKEN}", None, id="J30-accepts-lower-case"),
        pytest.param(f"BEARER   {TOKEN}", None, id="J30-accepts-upper-case-and-spaces"),
        pytest.param("Bearer", MALFORMED, id="J30-no-token"),
        pytest.param("bEaReR  ", MALFORMED, id="J30-only-spaces"),
        pytest.param(f"Bearer {TOKEN},{TOKEN}", MALFORMED, id="J30-two-in-one-field"),
        pytest.param(f"Bearer {TOKEN} {TOKEN}", MALFORMED, id="J30-something-after-it"),
        pytest.param(f"Bearer {TOKEN} ", MALFORMED, id="J30-space-after-it"),
        pytest.param(f"Bearer,{TOKEN}", MALFORMED, id="J30-comma-for-a-space"),
        pytest.param(f"Bearer\t{TOKEN}", MALFORMED, id="J30-tab-for-a-space"),
        pytest.param(f'Bearer token="{TOKEN}"', MALFORMED, id="J30-as-a-parameter"),
        pytest.param(f"Bearer {TOKEN}\x00", MALFORMED, id="J30-control-byte"),
        pytest.param("Basic YTpi", Reason.CREDENTIALS_MISSING, id="J30-another-scheme-is-not-sent"),
        pytest.param("Bearerx abc", Reason.CREDENTIALS_MISSING, id="J30-a-longer-scheme-is-another"),
        pytest.param(f"DPoP {TOKEN}", Reason.BINDING_MISSING, id="J34-unbound-under-the-dpop-scheme"),
        pytest.param((f"Bearer {TOKEN}", f"Bearer {TOKEN}"), Reason.BAD_REQUEST, id="J29-twice-the-same"),
        pytest.param((f"Bearer {TOKEN}", "Basic YTpi"), Reason.BAD_REQUEST, id="J29-two-schemes"),
        pytest.param(("Basic YTpi", f"Bearer {TOKEN}"), Reason.BAD_REQUEST, id="J29-two-schemes-turned-round"),
    ],
)
async def test_where_the_token_stands(authorization: str | tuple[str, ...], expected: Reason | None) -> None:
    assert await reason(stage(ENTRIES), request(authorization)) is expected


@pytest.mark.parametrize("field", ["x-access-token", "cookie", "proxy-authorization"])
async def test_J31_a_token_elsewhere_is_not_sent(field: str) -> None:
    ctx = request(headers={field: (f"Bearer {TOKEN}",)})
    assert await reason(stage(ENTRIES), ctx) is Reason.CREDENTIALS_MISSING


def test_J33_the_wire_does_not_tell_an_unknown_key_from_a_bad_signature() -> None:
    assert Reason.TOKEN_KEY_UNKNOWN.wire == Reason.TOKEN_SIGNATURE.wire == "token_signature"
    assert Reason.TOKEN_KEY_UNKNOWN.title == Reason.TOKEN_SIGNATURE.title


@pytest.mark.parametrize(
    ("binding", "which", "expected"),
    [
        pytest.param("optional", "own", None, id="J34-accepts-its-own-certificate"),
        pytest.param("required", "own", None, id="J34-accepts-its-own-where-required"),
        pytest.param("off", "stolen", None, id="J34-off-does-not-look"),
        pytest.param("optional", "stolen", Reason.BINDING_MISMATCH, id="J34-another-certificate"),
        pytest.param("required", "unbound", Reason.BINDING_MISSING, id="J34-required-and-unbound"),
        pytest.param("optional", "unbound", None, id="J34-accepts-unbound-where-optional"),
        pytest.param("optional", "number", Reason.BINDING_MISMATCH, id="J34-thumbprint-no-string"),
        pytest.param("optional", "beside", None, id="J34-accepts-unknown-beside-known"),
        pytest.param("optional", "both", Reason.BINDING_MISSING, id="J34-both-members-are-enforced"),
    ],
)
async def test_certificate_binding(binding: str, which: str, expected: Reason | None) -> None:
    before = CLOCK.datetime.replace(hour=0)
    authority = Authority("cluster.local", not_before=before)
    mine = authority.issue(uri="spiffe://cluster.local/ns/a/sa/web", not_before=before)
    other = authority.issue(uri="spiffe://cluster.local/ns/a/sa/web", not_before=before)

    def thumbprint(der: bytes) -> str:
        return base64url(hashlib.sha256(der).digest())

    cnf = {
        "own": {"x5t#S256": thumbprint(mine.der)},
        "stolen": {"x5t#S256": thumbprint(other.der)},
        "unbound": None,
        "number": {"x5t#S256": 5},
        "beside": {"x5t#S256": thumbprint(mine.der), "kid": "k"},
        "both": {"x5t#S256": thumbprint(mine.der), "jkt": "x"},
    }[which]
    entry = trusted(ISSUER, bindings={"x5t#S256": binding, "jkt": "optional"})
    judged = stage([entry], trust(authority))
    assert await reason(judged, request(f"Bearer {ISSUER.token(cnf=cnf)}", mine.ders)) is expected


async def test_J34_a_certificate_that_binds_must_itself_be_trusted() -> None:
    stranger = Authority("cluster.local")
    mine = stranger.issue(uri="spiffe://cluster.local/ns/a/sa/web")
    token = ISSUER.token(cnf={"x5t#S256": base64url(hashlib.sha256(mine.der).digest())})
    judged = stage(ENTRIES, trust(Authority("cluster.local")))
    assert await reason(judged, request(f"Bearer {token}", mine.ders)) is Reason.CERTIFICATE_UNTRUSTED


async def test_J36_the_cache_never_remembers_a_verdict() -> None:
    """One token on two routes, before and after its end, with and without its certificate, in both orders."""
    inventory = RouteCredentials(public=False, ignored=False, certificate=False, audiences=frozenset({"inventory"}))
    entry = trusted(ISSUER)
    plain = stage([entry])
    tokens = plain._tokens
    strict = stage(tokens=tokens, route=inventory)
    good = request(f"Bearer {ISSUER.token(exp=int(NOW) + 5)}")
    for _ in range(2):
        assert await reason(plain, good) is None
        assert await reason(strict, good) is AUDIENCE
    late = request(good.values["authorization"], now=NOW + 5 + 60)
    assert await reason(plain, late) is EXPIRED


async def test_J36_a_token_that_differs_in_one_byte_is_another() -> None:
    judged = stage(ENTRIES)
    assert await reason(judged, request(f"Bearer {TOKEN}")) is None
    flipped = TOKEN[:-3] + ("A" if TOKEN[-3] != "A" else "B") + TOKEN[-2:]
    assert await reason(judged, request(f"Bearer {flipped}")) in (SIGNATURE, MALFORMED)


async def test_J37_a_key_that_is_gone_takes_its_remembered_tokens_along() -> None:
    issuer = Issuer("https://rotating.example", clock=CLOCK)
    source = Held(key_set(issuer))
    judged = stage([trusted(issuer, keys=source)])
    ctx = request(f"Bearer {issuer.token()}")
    assert await reason(judged, ctx) is None
    issuer.rotate(keep=False)
    source.current = key_set(issuer)
    assert await reason(judged, ctx) is UNKNOWN


async def test_J38_every_judgement_takes_its_time_from_the_request() -> None:
    judged = stage([trusted(ISSUER)], route=PLAIN)
    old = ISSUER.token(iat=1000, exp=2000)
    assert await reason(judged, request(f"Bearer {old}", now=1500.0)) is None
    assert await reason(judged, request(f"Bearer {old}", now=2061.0)) is EXPIRED
    assert await reason(judged, request(f"Bearer {old}", now=900.0)) is EARLY
