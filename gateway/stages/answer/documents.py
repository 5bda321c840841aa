"""A refusal as a document: problem+json (RFC 9457), HTML for browsers, a status for gRPC.

Rule: texts are chosen by the reason's wire name alone, so that reasons that look alike on the wire look alike here.
Invariant: the only parts that vary with a request are its id and the route's own remediation, both escaped.
"""

import json
from html import escape
from typing import TypeAlias
from urllib.parse import quote

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import RawHeaders

_ADVICE = {
    Reason.CREDENTIALS_MISSING: "Send an access token (Authorization: Bearer) or a client certificate.",
    Reason.CERTIFICATE_REQUIRED: "Connect with a client certificate.",
    Reason.TOKEN_EXPIRED: "Get a fresh access token and try again.",
    Reason.TOKEN_NOT_YET_VALID: "Try again later, or check the clock of who issued the token.",
    Reason.TOKEN_AUDIENCE: "Ask for an access token that is meant for this API.",
    Reason.SCOPE_MISSING: "Ask for an access token with the scope named in WWW-Authenticate.",
    Reason.STEP_UP_REQUIRED: "Log in again as WWW-Authenticate asks.",
    Reason.RATE_LIMITED: "Wait as long as Retry-After says.",
    Reason.METHOD_NOT_ALLOWED: "The methods that are served stand in Allow.",
    Reason.AMBIGUOUS_PATH: "Send the path in its plain, normalised form.",
    Reason.BODY_TOO_LARGE: "Send a smaller body.",
    Reason.MISDIRECTED: "Open a new connection to this host.",
}
_BY_CODE = {reason.code: reason for reason in Reason}
_WIRE = {reason: _BY_CODE[reason.wire] for reason in Reason}
_TRY_LATER = "Try again later; Retry-After says when."
_REPORT = "Tell the operator the request id."

JSON_TYPE = b"application/problem+json"
HTML_TYPE = b"text/html; charset=utf-8"
GRPC_TYPE = b"application/grpc"

Parts: TypeAlias = tuple[bytes, ...]
"""A document without its request id, which stands between each two of them."""


def problem(refused: Refused, request_id: str) -> bytes:
    """The document as JSON."""
    return named(problem_parts(refused), "json", request_id)


def named(parts: Parts, form: str, request_id: str) -> bytes:
    """A document of this form with its request id, whatever that holds."""
    if form == "html":
        return escape(request_id).encode().join(parts)
    if form == "grpc":
        return b""
    before, between, behind = parts
    instance, member = quote(request_id, safe=""), json.dumps(request_id)[1:-1]
    return b"".join((before, instance.encode("ascii"), between, member.encode("ascii"), behind))


def problem_parts(refused: Refused) -> Parts:
    """JSON."""
    reason = _WIRE[refused.reason]
    members = {
        "type": f"urn:gateway:problem:{reason.code}",
        "title": reason.title,
        "status": reason.status,
        "detail": _detail(reason),
    }
    remedy = f', "remediation": {json.dumps(refused.remediation)}' if refused.remediation is not None else ""
    return (
        f'{json.dumps(members)[:-1]}, "instance": "urn:gateway:request:'.encode("ascii"),
        f'", "reason": {json.dumps(reason.code)}, "request_id": "'.encode("ascii"),
        f'"{remedy}}}'.encode("ascii"),
    )


def page_parts(refused: Refused) -> Parts:
    """HTML, without anything active in it."""
    reason = _WIRE[refused.reason]
    remedy = ""
    if refused.remediation is not None:
        link = escape(refused.remediation, quote=True)
        known = refused.remediation.startswith(("https://", "http://"))
        remedy = f'<p><a href="{link}">{link}</a></p>\n' if known else f"<p>{link}</p>\n"
    title = f"{reason.status} {escape(reason.title)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<p>{escape(_detail(reason))}</p>\n{remedy}"
        f"<p>Reason: <code>{reason.code}</code><br>Request: <code>".encode(),
        b"</code></p></body></html>\n",
    )


def grpc_fields(refused: Refused) -> RawHeaders:
    """What a trailers-only answer carries (gRPC over HTTP/2, Responses)."""
    reason = _WIRE[refused.reason]
    message = quote(reason.title, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return [(b"grpc-status", b"%d" % reason.grpc_status), (b"grpc-message", message.encode("ascii"))]


def _detail(reason: Reason) -> str:
    advice = _ADVICE.get(reason)
    if advice is not None:
        return advice
    if reason.status >= 500:
        return _TRY_LATER if reason.status == 503 else _REPORT
    return f"{reason.title[0].upper()}{reason.title[1:]}."


def prefers_html(accept: str) -> bool:
    """True when Accept ranks HTML above JSON (RFC 9110 section 12.5.1)."""
    accept = accept.lower()
    if "html" not in accept:
        return False
    html = json_quality = anything = 0.0
    for entry in accept.split(","):
        media, *parameters = entry.split(";")
        media = media.strip()
        quality = _quality(parameters)
        if media in ("text/html", "application/xhtml+xml"):
            html = max(html, quality)
        elif media in ("application/json", "application/problem+json", "application/*"):
            json_quality = max(json_quality, quality)
        elif media == "*/*":
            anything = max(anything, quality)
    return html > (json_quality or anything)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
