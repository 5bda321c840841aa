"""A compact JWS taken apart, strictly, before anything in it is believed (RFC 7515 section 7.1, RFC 8725).

Rule: one token has one spelling, and a header may only pick among what is configured.
Invariant: nothing of a token reaches an exception's text.
"""

from gateway.kernel.strict import NotStrict, decode_base64url, parse_object
from gateway.model.json import JSON
from gateway.model.noun import noun
from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.stages.authenticate.keys import ALGORITHMS

MAX_TOKEN = 8192  # bytes, held to before anything is decoded
_MAX_KID = 512


@noun
class Unverified:
    """A well-formed token of which nothing is proved."""

    alg: str
    kid: str | None
    typ: str | None  # lower case, without "application/" (RFC 7515 section 4.1.9)
    claims: dict[str, JSON]
    signing_input: bytes
    signature: bytes
    jwk: JSON  # a key that the header brings along: of no use but for a proof of possession (RFC 9449)


def take_apart(token: str) -> Unverified:
    """Raises Refused: TOKEN_MALFORMED, TOKEN_ALGORITHM, TOKEN_TYPE (nested), TOKEN_SIGNATURE (none at all)."""
    if len(token) > MAX_TOKEN:
        raise _malformed("the token is over 8 kB")
    if not token.isascii():
        raise _malformed("the token is not ASCII")
    segments = token.encode().split(b".")
    if len(segments) != 3:
        raise _malformed("not a JWT in compact serialisation")
    try:
        header = parse_object(decode_base64url(segments[0]))
        alg, kid, typ = _read_header(header)
        claims = parse_object(decode_base64url(segments[1]))
        signature = decode_base64url(segments[2])
    except NotStrict as error:
        raise _malformed(str(error)) from None
    if not signature:
        raise Refused(Reason.TOKEN_SIGNATURE, "the signature is empty")
    return Unverified(alg, kid, typ, claims, segments[0] + b"." + segments[1], signature, header.get("jwk"))


def _read_header(header: dict[str, JSON]) -> tuple[str, str | None, str | None]:
    """alg, kid and typ. Parameters that would supply a key (jku, x5u, x5c) are not read at all."""
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(alg, str):
        raise _malformed("alg is not a string")
    if alg not in ALGORITHMS:  # "none" in any case, HS*, and what we have never heard of
        raise Refused(Reason.TOKEN_ALGORITHM, "the algorithm is not one that issuers may use")
    if "crit" in header:
        raise _malformed("crit names extensions, and none is understood")
    if "b64" in header or "zip" in header:
        raise _malformed("b64 and zip have no place in a JWT")
    if "cty" in header:
        raise Refused(Reason.TOKEN_TYPE, "a nested token")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID):
        raise _malformed("kid is not a string of 1 to 512 characters")
    if typ is not None and not isinstance(typ, str):
        raise _malformed("typ is not a string")
    return alg, kid, typ.lower().removeprefix("application/") if typ is not None else None


def _malformed(detail: str) -> Refused:
    return Refused(Reason.TOKEN_MALFORMED, detail)
