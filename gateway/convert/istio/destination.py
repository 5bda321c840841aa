"""DestinationRule into `upstreams`: how a backend is verified, balanced and held back from.

An upstream needs endpoints and a DestinationRule names only a host: what it becomes is said in a note.
Keys that this build does not have are not carried, like those that have no equal.
"""

from gateway.config.checks.urls import judge_host
from gateway.convert.built import is_built
from gateway.convert.fields import Fields
from gateway.convert.istio.durations import duration
from gateway.convert.manifests import Resource
from gateway.kernel.x509.spiffe import parse_leaf_id

_NO_EQUAL = "it has no equal here"
_BALANCE = {
    "ROUND_ROBIN": "round_robin",
    "LEAST_REQUEST": "least_request",
    "LEAST_CONN": "least_request",
    "RANDOM": "random",
}
_SPEC_ELSEWHERE = {
    "subsets": "a subset is an upstream of its own here, with its own endpoints",
    "exportTo": _NO_EQUAL,
    "workloadSelector": "an upstream is the same for every route that names it",
}
_POLICY_ELSEWHERE = {
    "portLevelSettings": "a port is an upstream of its own here",
    "tunnel": _NO_EQUAL,
    "proxyProtocol": _NO_EQUAL,
    "retryBudget": "write `retries: {budget: PERCENT}`",
}
_TCP_ELSEWHERE = {"tcpKeepalive": _NO_EQUAL, "idleTimeout": "write `connections: {idle: TIME}`"}
_HTTP_ELSEWHERE = {
    "maxRetries": "write `retries: {budget: PERCENT}`",
    "useClientProtocol": "the protocol towards a backend is its upstream's",
    "maxConcurrentStreams": _NO_EQUAL,
}
_OUTLIER_ELSEWHERE = {
    "interval": "errors are counted as they come",
    "minHealthPercent": "max_ejected bounds it",
    "splitExternalLocalOriginErrors": _NO_EQUAL,
    "consecutiveLocalOriginFailures": "consecutive_errors counts them too",
}
_TLS_ELSEWHERE = {
    "clientCertificate": "the gateway proves one identity to every backend: write `identity: {certificate, key}`",
    "privateKey": "the gateway proves one identity to every backend: write `identity: {certificate, key}`",
    "credentialName": "a Kubernetes secret: write its files under `identity` and `tls: {ca: FILE}`",
    "caCrl": _NO_EQUAL,
}


class Destination:
    """Carries one DestinationRule."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._report = resource.fields.report
        self._upstream: dict[str, object] = {}
        self._scheme = "https"

    def carry(self) -> dict[str, object] | None:
        """The upstream, or None where its host is none."""
        spec = self._resource.spec()
        host = self._host(spec)
        policy = spec.fields("trafficPolicy")
        spec.lose_each(_SPEC_ELSEWHERE)
        spec.rest()
        if host is None:
            return None
        if policy is not None:
            self._balance(policy.fields("loadBalancer"))
            self._pool(policy.fields("connectionPool"))
            self._outliers(policy.fields("outlierDetection"))
            self._tls(policy.fields("tls"))
            policy.lose_each(_POLICY_ELSEWHERE)
            policy.rest()
        if policy is None or "tls" not in policy:
            self._note("without tls Istio chooses between plain text and its own mTLS; here the backend speaks TLS")
        self._note(f"its port is not in a DestinationRule: give the endpoint {self._scheme}://{host} the right one")
        return {"endpoints": [f"{self._scheme}://{host}"], **self._upstream}

    def _note(self, text: str) -> None:
        self._report.note(f"{self._resource.fields.resource}: {text}")

    def _host(self, spec: Fields) -> str | None:
        host = spec.text("host")
        if host is None:
            if "host" not in spec:
                spec.lose_all("a host is wanted")
            return None
        if "*" in host:
            spec.lose("host", f'"{host}" is no single backend: write an upstream for each')
            return None
        whole = host
        if "." not in host:
            if self._resource.namespace is None:
                spec.lose("host", f'"{host}" is short, and the rule names no namespace: write it whole')
                return None
            whole = f"{host}.{self._resource.namespace}.svc.cluster.local"
        try:
            judge_host(whole)
        except ValueError as why:
            spec.lose("host", str(why))
            return None
        return whole

    def _set(self, fields: Fields, key: str, path: str, value: object) -> None:
        """Carry `key` to `path` of the upstream, if this build has that."""
        first, _, rest = path.partition(".")
        if not is_built({"upstreams": {"it": {first: {rest: value} if rest else value}}}):
            fields.lose(key, f"`{first}` is not built yet")
            return
        if not rest:
            self._upstream[first] = value
            return
        section = self._upstream.setdefault(first, {})
        if isinstance(section, dict):
            section[rest] = value

    def _count(self, fields: Fields, key: str, path: str) -> None:
        value = fields.number(key)
        if value is not None and value < 1:
            fields.lose(key, "at least 1 is wanted")
        elif value is not None:
            self._set(fields, key, path, value)

    def _time(self, fields: Fields, key: str, path: str) -> None:
        text = fields.text(key)
        if text is None:
            return
        try:
            value = duration(text)
        except ValueError as why:
            fields.lose(key, str(why))
            return
        if value == "0s":
            fields.lose(key, "every wait has a bound here")
        else:
            self._set(fields, key, path, value)

    def _balance(self, fields: Fields | None) -> None:
        if fields is None:
            return
        simple = fields.text("simple")
        if simple in _BALANCE:
            self._set(fields, "simple", "balance", _BALANCE[simple])
        elif simple is not None and simple != "UNSPECIFIED":
            fields.lose("simple", f'"{simple}" {_NO_EQUAL}')
        consistent = fields.fields("consistentHash")
        if consistent is not None:
            self._hash(fields, consistent)
        fields.lose_each(dict.fromkeys(("localityLbSetting", "warmup", "warmupDurationSecs"), _NO_EQUAL))
        fields.rest()

    def _hash(self, fields: Fields, consistent: Fields) -> None:
        header = consistent.text("httpHeaderName")
        if header is not None:
            self._set(fields, "consistentHash", "balance", {"policy": "consistent_hash", "key": f"header:{header}"})
        elif consistent.raw("useSourceIp") is True:
            self._set(fields, "consistentHash", "balance", {"policy": "consistent_hash", "key": "client_ip"})
        ring = ("minimumRingSize", "ringHash", "maglev", "httpCookie", "httpQueryParameterName")
        consistent.lose_each(dict.fromkeys(ring, _NO_EQUAL))
        consistent.rest()

    def _pool(self, fields: Fields | None) -> None:
        if fields is None:
            return
        tcp, http = fields.fields("tcp"), fields.fields("http")
        fields.rest()
        if tcp is not None:
            self._count(tcp, "maxConnections", "connections.max")
            self._time(tcp, "connectTimeout", "timeouts.connect")
            self._time(tcp, "maxConnectionDuration", "connections.max_age")
            tcp.lose_each(_TCP_ELSEWHERE)
            tcp.rest()
        if http is not None:
            self._count(http, "http1MaxPendingRequests", "circuit_breaker.max_pending")
            self._count(http, "http2MaxRequests", "circuit_breaker.max_requests")
            self._time(http, "idleTimeout", "connections.idle")
            self._per_connection(http)
            self._upgrade(http)
            http.lose_each(_HTTP_ELSEWHERE)
            http.rest()

    def _per_connection(self, http: Fields) -> None:
        number = http.number("maxRequestsPerConnection")
        if number == 1:
            self._set(http, "maxRequestsPerConnection", "connections.reuse", False)
        elif number:
            http.lose(
                "maxRequestsPerConnection", "connections are kept (0) or never used again (1); max_age bounds them"
            )

    def _upgrade(self, http: Fields) -> None:
        policy = http.text("h2UpgradePolicy")
        if policy in ("UPGRADE", "DO_NOT_UPGRADE"):
            self._set(http, "h2UpgradePolicy", "protocol", "h2" if policy == "UPGRADE" else "http1")
        elif policy not in (None, "DEFAULT"):
            http.lose("h2UpgradePolicy", f'"{policy}" is no policy that is known')

    def _outliers(self, fields: Fields | None) -> None:
        if fields is None:
            return
        counts = ("consecutiveGatewayErrors", "consecutive5xxErrors", "consecutiveErrors")
        given = [key for key in counts if key in fields]
        for key in given[:1]:
            self._count(fields, key, "outlier_detection.consecutive_errors")
        fields.lose_each(dict.fromkeys(given[1:], f"{given[0]} stands already" if given else ""))
        self._time(fields, "baseEjectionTime", "outlier_detection.ejection")
        percent = fields.number("maxEjectionPercent")
        if percent is not None:
            self._set(fields, "maxEjectionPercent", "outlier_detection.max_ejected", f"{percent}%")
        fields.lose_each(_OUTLIER_ELSEWHERE)
        fields.rest()

    def _tls(self, fields: Fields | None) -> None:
        if fields is None:
            return
        mode = fields.text("mode") or "DISABLE"
        if mode not in ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"):
            fields.lose("mode", f'"{mode}" is no mode')
        if mode == "DISABLE":
            self._scheme = "http"
            fields.lose_each(
                dict.fromkeys(("caCertificates", "sni", "subjectAltNames"), "without TLS it means nothing")
            )
        else:
            self._verified(fields, mode)
        if fields.raw("insecureSkipVerify") is True:
            fields.lose("insecureSkipVerify", "a backend is always verified")
        fields.lose_each(_TLS_ELSEWHERE)
        fields.rest()

    def _verified(self, fields: Fields, mode: str) -> None:
        ca = fields.text("caCertificates")
        if ca is not None:
            self._set(fields, "caCertificates", "tls.ca", ca)
            self._note(f"tls.ca: {ca} is a path in the proxy's own container: put the file where the gateway finds it")
        sni = fields.text("sni")
        if sni is not None:
            try:
                judge_host(sni)
                self._set(fields, "sni", "tls.server_name", sni)
            except ValueError as why:
                fields.lose("sni", str(why))
        names = fields.items("subjectAltNames") or []
        for item in names[1:]:
            why_not = "a backend has one identity here: the first stands"
            self._report.lose(item.where, self._resource.fields.resource, item.path, why_not)
        for item in names[:1]:
            try:
                (parse_leaf_id if item.value.startswith("spiffe:") else judge_host)(item.value)
                self._set(fields, "subjectAltNames", "tls.server_identity", item.value)
            except ValueError as why:
                self._report.lose(item.where, self._resource.fields.resource, item.path, str(why))
        if mode == "ISTIO_MUTUAL" and not names:
            self._note(
                "ISTIO_MUTUAL verifies the backend by what the mesh knows of it: "
                "write `tls: {server_identity: spiffe://…}`, else the name in its URL is verified"
            )
        if mode in ("MUTUAL", "ISTIO_MUTUAL"):
            self._note("mutual TLS needs `identity` in the file: without it the gateway proves nothing to backends")
