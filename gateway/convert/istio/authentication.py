"""RequestAuthentication into `issuers`, PeerAuthentication into a listener's `client_certificate`.

An issuer without audiences is not carried: its tokens are refused until somebody says whose they are for.
Of several modes for the same listeners the strictest stands.
"""

from gateway.config.checks.urls import judge_secure_url
from gateway.convert.fields import Fields
from gateway.convert.manifests import Resource
from gateway.convert.report import Report
from gateway.convert.scope import Scope

_DEFAULT_SPLIT = ("scope", "permission")
_MODES = {"STRICT": "required", "PERMISSIVE": "optional", "DISABLE": "none"}
_STRICTNESS = ("none", "optional", "required")
_ELSEWHERE = {
    "outputPayloadToHeader": "write what the backend needs under `forward: {headers: {NAME: claims.CLAIM}}` of a route",
    "fromParams": "a token in a URL is never read",
    "fromCookies": "a token in a cookie is never read",
    "timeout": "how long fetching keys may take is not for a file to say",
}


def carry_request(resource: Resource, scope: Scope) -> dict[str, dict[str, object]]:
    """The issuers of a RequestAuthentication, by the names that they get."""
    spec = resource.spec()
    if sum(key in spec for key in ("selector", "targetRef", "targetRefs")) > 1:
        spec.lose_all("only one of selector, targetRef and targetRefs may stand; Istio refuses it too")
        return {}
    spec.take("selector", "targetRef", "targetRefs")
    rules = spec.each("jwtRules") or []
    spec.rest()
    found: dict[str, dict[str, object]] = {}
    for fields in rules:
        issuer = _issuer(fields)
        if issuer is not None:
            found[resource.name if len(rules) == 1 else f"{resource.name}-{len(found) + 1}"] = issuer
    if found:
        resource.fields.report.note(
            "RequestAuthentication: Istio accepts requests without a token, wherever no policy asks for one; here "
            "every route that is not `public: true` wants a credential, and an issuer counts on all routes"
        )
    return found


def _issuer(fields: Fields) -> dict[str, object] | None:
    url = fields.text("issuer")
    audiences = fields.items("audiences")
    keys = _keys(fields)
    split = fields.items("spaceDelimitedClaims")
    _tokens(fields)
    fields.lose_each(_ELSEWHERE)
    _presence(fields)
    for entry in fields.each("outputClaimToHeaders") or []:
        entry.lose_all("write `forward: {headers: {HEADER: claims.CLAIM}}` on the routes that need it")
    fields.rest()
    if url is None:
        fields.lose_all("an issuer is wanted")
        return None
    if keys is None:
        fields.lose_all("the issuer is left out: nothing says where its keys are")
        return None
    if "?" in url or "*" in url or ("jwks_uri" not in keys and not _fetchable(url)):
        fields.lose(
            "issuer", f"the issuer is left out: {url!r} is no https URL, and without jwksUri its keys are there"
        )
        return None
    if not audiences:
        fields.lose_all(
            "the issuer is left out, for Istio accepts any audience here: "
            'write audiences: [NAME], or ["*"] if any is really meant'
        )
        return None
    issuer: dict[str, object] = {"issuer": url, "audiences": [item.value for item in audiences], **keys}
    if split:
        issuer["space_delimited_claims"] = list(dict.fromkeys([*_DEFAULT_SPLIT, *(item.value for item in split)]))
    return issuer


def _keys(fields: Fields) -> dict[str, object] | None:
    """Where the keys are; {} for discovery, None where that is not carried."""
    if "jwks" in fields:
        fields.lose("jwks", "write the keys into a file and `jwks: FILE` under the issuer")
        return None
    uri = next((key for key in ("jwksUri", "jwks_uri") if key in fields), None)
    if uri is None:
        return {}
    written = fields.text(uri)
    if written is None:
        return None
    try:
        judge_secure_url(written)
    except ValueError as why:
        fields.lose(uri, str(why))
        return None
    return {"jwks_uri": written}


def _fetchable(url: str) -> bool:
    try:
        judge_secure_url(url)
    except ValueError:
        return False
    return True


def _tokens(fields: Fields) -> None:
    """Where tokens are read from: here only Authorization with Bearer."""
    for entry in fields.each("fromHeaders") or []:
        name, prefix = entry.text("name"), entry.raw("prefix")
        if name is not None and name.lower() == "authorization" and prefix == "Bearer ":
            entry.rest()
        else:
            entry.lose_all("tokens are read from `Authorization: Bearer` alone")
    if fields.raw("forwardOriginalToken") is True:
        fields.lose("forwardOriginalToken", "write `forward: {authorization: keep}` on the routes that need it")


def _presence(fields: Fields) -> None:
    presence = fields.raw("presence")
    if presence == "OPTIONAL":
        fields.lose("presence", "a route without a token wanted is one with `public: true`")
    elif presence not in (None, "REQUIRED"):
        fields.lose("presence", "it is no presence that is known")


class Listeners:
    """The `client_certificate` that the PeerAuthentications of all files ask for."""

    def __init__(self, scope: Scope, report: Report) -> None:
        self._scope = scope
        self._report = report
        self._mode: str | None = None

    def add(self, resource: Resource) -> None:
        """Read one PeerAuthentication."""
        spec = resource.spec()
        if "selector" in spec:
            if self._scope.listeners_chosen:
                spec.take("selector")
            else:
                spec.lose("selector", "it selects workloads: name the listeners that stand for them by --listeners")
        mtls = spec.fields("mtls")
        ports = spec.fields("portLevelMtls")
        if ports is not None:
            ports.lose_each(dict.fromkeys(ports, "a port is a listener of its own: say client_certificate there"))
        spec.rest()
        mode = str(mtls.raw("mode") or "UNSET") if mtls is not None else "UNSET"
        if mtls is not None:
            mtls.rest()
        if mode == "UNSET":
            self._report.note(f"{resource.fields.resource}: its mode is inherited in Istio; nothing is written for it")
        elif mode not in _MODES:
            assert mtls is not None  # noqa: S101 - else the mode is UNSET
            mtls.lose("mode", f'"{mode}" is no mode')
        elif mtls is not None:
            self._choose(resource, mtls, _MODES[mode])

    def _choose(self, resource: Resource, mtls: Fields, wanted: str) -> None:
        if self._mode is not None and wanted != self._mode:
            strict = max(self._mode, wanted, key=_STRICTNESS.index)
            mtls.lose("mode", f"several modes for the same listeners: the strictest stands, which is {strict}")
            wanted = strict
        self._mode = wanted
        if wanted == "none":
            self._report.note(
                f"{resource.fields.resource}: DISABLE means plain text in Istio; a listener keeps its TLS"
            )
        else:
            self._report.note(
                f"client_certificate: {wanted} needs trust_domains or client_authorities, which say whose are believed"
            )

    def config(self) -> dict[str, object]:
        """What stands under `listeners`."""
        if self._mode is None:
            return {}
        if not self._scope.listeners_chosen:
            self._report.note(
                "PeerAuthentication: written for the listener edge: say which ones are meant by --listeners"
            )
        return {name: {"tls": {"client_certificate": self._mode}} for name in self._scope.listeners}
