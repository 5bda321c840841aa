"""What the browser application does, done by a program: log in with PKCE, then call the API from another origin.

Rule: only what a browser could do: no certificate, the Origin header on every call, CORS headers checked as it would.
Invariant: each step raises Wrong with what it saw, so that a failed check says where it failed.
"""

import hashlib
import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.cli.demo.cases import INVENTORY
from gateway.cli.demo.place import Place
from gateway.testing.client import Answer, send
from gateway.testing.issuer import base64url
from gateway.testing.scenario import BROWSER_APP

_FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Wrong(Exception):  # noqa: N818 - an answer, not a fault
    """A step that was not answered as it should be."""


async def log_in_and_call(place: Place) -> None:
    """The whole way. Raises Wrong, OSError, EOFError, TimeoutError."""
    token = await _log_in(place)
    _want("the preflight", await _preflight(place, "GET", place.app), 204, place.app)
    read = await _call(place, "GET", token)
    _want("the read", read, 200, place.app)
    if read.json()["headers"].get("x-user") != "alice":
        raise Wrong("the backend was not told that alice is calling")
    _want("a write", await _call(place, "POST", token), 403, place.app)
    _want("a call without the token", await _call(place, "GET", None), 401, place.app)


async def other_origin(place: Place) -> None:
    """A page of somewhere else may ask nothing. Raises Wrong, OSError, EOFError, TimeoutError."""
    answer = await _preflight(place, "GET", "https://elsewhere.example")
    _want("the preflight", answer, 403, None)
    if answer.reason != "cors_refused":
        raise Wrong(f"the preflight was refused for {answer.reason}")


async def _log_in(place: Place) -> str:
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(12)
    query = urlencode(
        {
            "response_type": "code",
            "client_id": BROWSER_APP,
            "redirect_uri": f"{place.app}/",
            "scope": "openid inventory:read",
            "state": state,
            "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
    )
    _want("the application", await _plain(place.app, "GET", "/"), 200)
    _want("the login page", await _plain(place.issuer, "GET", f"/authorize?{query}"), 200)
    back = await _plain(place.issuer, "POST", f"/authorize?{query}", urlencode({"user": "alice"}), [_FORM])
    _want("the login", back, 303)
    location = back.header("location") or ""
    answer = parse_qs(urlsplit(location).query)
    if not location.startswith(f"{place.app}/?") or answer.get("state") != [state]:
        raise Wrong(f"the provider sent the browser to {location}")
    form = {
        "grant_type": "authorization_code",
        "client_id": BROWSER_APP,
        "redirect_uri": f"{place.app}/",
        "code": answer["code"][0],
        "code_verifier": verifier,
    }
    got = await _plain(place.issuer, "POST", "/token", urlencode(form), [_FORM, ("Origin", place.app)])
    _want("the token endpoint", got, 200, place.app)
    return str(got.json()["access_token"])


async def _plain(
    origin: str, method: str, target: str, body: str = "", headers: list[tuple[str, str]] | None = None
) -> Answer:
    where = urlsplit(origin)
    return await send(
        where.port or 80, method, target, authority=where.netloc, headers=headers or [], body=body.encode()
    )


async def _call(place: Place, method: str, token: str | None) -> Answer:
    headers = [("Origin", place.app), *([("Authorization", f"Bearer {token}")] if token else [])]
    return await _gateway(place, method, headers)


async def _preflight(place: Place, method: str, origin: str) -> Answer:
    asks = [("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "authorization")]
    return await _gateway(place, "OPTIONS", [("Origin", origin), *asks])


async def _gateway(place: Place, method: str, headers: list[tuple[str, str]]) -> Answer:
    authority = f"localhost:{place.browser}"
    return await send(place.browser, method, INVENTORY, tls=place.tls(None), authority=authority, headers=headers)


_ANY = "any"


def _want(step: str, answer: Answer, status: int, origin: str | None = _ANY) -> None:
    """Raises Wrong unless the status fits and, where one is given, the origin that may read the answer does."""
    if answer.status != status:
        raise Wrong(f"{step} was answered {answer.status} {answer.reason or ''}".rstrip())
    allowed = answer.header("access-control-allow-origin")
    if origin is not _ANY and allowed != origin:
        raise Wrong(f"{step} may be read by {allowed}, not by {origin}")
