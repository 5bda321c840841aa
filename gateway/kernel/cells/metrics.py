"""Every metric of the gateway, by name: contract section 7.

One object a process; stages take their cells from it when a snapshot is built, and a reload changes none of its counts.
A label's value comes from the config or from a closed set of ours, never from a request.
"""

import platform
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from gateway import __version__
from gateway.kernel.cells.cell import Counter, Exemplar, Gauge, Histogram
from gateway.kernel.cells.family import CounterFamily, Family, GaugeFamily, HistogramFamily, LabelValues, Merge, Rows

PREFIX = "gateway_"
NO_ROUTE = "none"  # `route` where none matched
OTHER_METHOD = "other"  # `method` outside gateway.model.methods
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

AnyFamily: TypeAlias = Family[Counter] | Family[Gauge] | Family[Histogram]
Dump: TypeAlias = dict[str, Rows]
ExemplarRow: TypeAlias = tuple[LabelValues, int, list[str | float]]


class Metrics:
    """The families as attributes; those without labels are the cell itself."""

    def __init__(self) -> None:
        self._families: dict[str, AnyFamily] = {}
        counter, gauge = self._counter, self._gauge
        self.requests = counter("requests_total", "Requests that ended.", "route", "method", "status")
        self.request_duration = self._histogram(
            "request_duration_seconds", "From a request's head to the end of its answer.", "route"
        )
        self.requests_in_flight = gauge("requests_in_flight", "Requests that have begun and not ended.").labels()
        self.decisions = counter("decisions_total", "Decisions, by effect and reason.", "route", "effect", "reason")
        self.shadow_decisions = counter(
            "shadow_decisions_total", "What things in shadow mode would have done.", "route", "kind", "effect"
        )
        self.expression_errors = counter("expression_errors_total", "Expressions that could not be judged.", "rule")
        self.authentications = counter(
            "authentications_total", "Credentials judged.", "method", "result", "reason"
        )  # method: certificate, jwt, introspection; result: ok, refused, shadow_ok, shadow_refused; reason: "" when ok
        # result: admitted, refused, shadow_refused, error
        self.rate_limit_decisions = counter("rate_limit_decisions_total", "Limits asked.", "limit", "result")
        self.rate_limit_store_up = gauge(
            "rate_limit_store_up", "1 while the limit store answers.", merge=Merge.MIN
        ).labels()
        # result: ok, refused; reason: "" when ok
        self.tls_handshakes = counter("tls_handshakes_total", "TLS handshakes.", "listener", "result", "reason")
        self.tls_resumptions = counter("tls_resumptions_total", "TLS sessions that clients resumed.", "listener")
        self.downstream_connections = gauge("downstream_connections", "Open client connections.", "listener")
        self.certificate_expiry = gauge(
            "certificate_expiry_timestamp_seconds", "When a certificate ends.", "role", "name", merge=Merge.MIN
        )
        self.certificate_reloads = counter(
            "certificate_reloads_total", "Certificates, bundles and lists read again.", "role", "name", "result"
        )  # role: as in certificate_expiry; result: success, failure (the last good one stays in force)
        self._of_trust()
        self._of_upstreams()
        # every worker reloads for one reload: the greatest count is the true one
        self.config_reloads = counter(
            "config_reloads_total", "Reloads of the config.", "result", merge=Merge.MAX
        )  # result: success, failure
        self.config_last_reload_success = gauge(
            "config_last_reload_success_timestamp_seconds", "When a config was last taken over.", merge=Merge.MIN
        ).labels()
        self.config_info = gauge("config_info", "The config at work, by its digest.", "digest", merge=Merge.MAX)
        self.build_info = gauge("build_info", "The program at work.", "version", "python", merge=Merge.MAX)
        self.build_info.labels(__version__, platform.python_version()).set(1)
        self.audit_records = counter("audit_records_total", "Records written to the audit log.").labels()
        self.audit_lag = gauge(
            "audit_lag_seconds", "Age of the oldest audit record that is not written yet.", merge=Merge.MAX
        ).labels()
        self.streams_terminated = counter(
            "streams_terminated_total", "Answers that were broken off.", "reason"
        )  # reason: a Reason's code
        self.streams_open = gauge(
            "streams_open", "Answers and connections that stay open.", "kind"
        )  # kind: websocket, http
        self._of_exports()

    def _of_trust(self) -> None:
        counter = self._counter
        self.jwks_age = self._gauge(
            "jwks_age_seconds", "Time since an issuer's keys were last confirmed.", "issuer", merge=Merge.MAX
        )
        self.jwks_refresh = counter("jwks_refresh_total", "Fetches of an issuer's keys.", "issuer", "result")
        self.ocsp_requests = counter(
            "ocsp_requests_total", "Questions about client certificates (OCSP).", "authority", "result"
        )  # authority: a trust domain or client authority; result: good, revoked, unknown, failure
        self.security_events = counter(
            "security_events_total", "Logouts and security events that issuers sent.", "issuer", "kind", "result"
        )  # kind: logout, a CAEP event, or where it was refused the address; result: taken, repeated, a Reason's code

    def _of_exports(self) -> None:
        counter, gauge = self._counter, self._gauge
        # result: delivered, dropped (no room), rejected (the other side will never take it)
        self.audit_sink_records = counter("audit_sink_records_total", "Audit records for sinks.", "sink", "result")
        self.audit_sink_up = gauge("audit_sink_up", "1 while a sink takes records.", "sink", merge=Merge.MIN)
        self.telemetry_requests = counter("telemetry_requests_total", "Requests recorded as spans.", "result")
        self.telemetry_up = gauge("telemetry_up", "1 while the collector takes spans.", "signal", merge=Merge.MIN)

    def _of_upstreams(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.upstream_requests = counter(
            "upstream_requests_total", "Requests sent to backends.", "upstream", "endpoint", "result"
        )  # result: 1xx to 5xx of the answer, else a Reason's code
        self.upstream_retries = counter(
            "upstream_retries_total", "Requests sent to backends once more.", "upstream", "kind"
        )  # kind: retry, hedge
        self.upstream_connections = gauge(
            "upstream_connections", "Connections to backends.", "upstream", "state"
        )  # state: active, idle
        self.upstream_ejected = gauge(
            "upstream_ejected", "1 while an endpoint is ejected.", "upstream", "endpoint", merge=Merge.MAX
        )
        self.upstream_healthy = gauge(
            "upstream_healthy", "0 while an endpoint fails its health check.", "upstream", "endpoint", merge=Merge.MIN
        )

        self.token_exchanges = counter(
            "token_exchanges_total", "Tokens that were to be exchanged for a backend.", "upstream", "result"
        )  # result: success, refused, failure

    def families(self) -> Iterator[AnyFamily]:
        """Every family, in the contract's order."""
        yield from self._families.values()

    def dump(self) -> Dump:
        """Every value, as plain data that JSON can carry to another process."""
        return {name: family.rows() for name, family in self._families.items()}

    def absorb(self, dump: Dump, seen: set[tuple[str, LabelValues]]) -> None:
        """Take in another process's values. `seen`: what was absorbed before; this call adds to it.

        Raises ValueError or KeyError for values of another build.
        """
        for name, rows in dump.items():
            family = self._families[name]
            for values, value in rows:
                key = name, tuple(values)
                family.absorb(key[1], value, first=key not in seen)
                seen.add(key)

    def exemplars(self) -> list[ExemplarRow]:
        """Those of request_duration, as plain data that JSON can carry."""
        return [(values, bucket, list(one)) for values, bucket, one in self.request_duration.exemplars()]

    def absorb_exemplars(self, rows: Iterable[ExemplarRow]) -> None:
        """Take in another process's; of two for one bucket the later one stays."""
        for values, bucket, (trace_id, value, at) in rows:
            held = self.request_duration.labels(*values).exemplars
            if bucket not in held or held[bucket].at < float(at):
                held[bucket] = Exemplar(str(trace_id), float(value), float(at))

    def _counter(self, name: str, text: str, *labels: str, merge: Merge = Merge.SUM) -> CounterFamily:
        family = CounterFamily(name, text, labels, merge)
        self._families[name] = family
        return family

    def _gauge(self, name: str, text: str, *labels: str, merge: Merge = Merge.SUM) -> GaugeFamily:
        family = GaugeFamily(name, text, labels, merge)
        self._families[name] = family
        return family

    def _histogram(self, name: str, text: str, *labels: str) -> HistogramFamily:
        family = HistogramFamily(name, text, labels, _SECONDS)
        self._families[name] = family
        return family
