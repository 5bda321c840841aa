"""Istio's `when`: its keys, and which of them may be absent from a request.

Keys are the same here; what their values are written like is not always.
Source: Istio reference, AuthorizationPolicy conditions.
"""

from gateway.convert.fields import Fields
from gateway.convert.istio import clauses
from gateway.convert.istio.clauses import Carry, Clause, Known, carry
from gateway.stages.authorize.clauses import compile_condition

_ALWAYS_THERE = frozenset({"source.ip", "remote.ip", "destination.ip", "destination.port"})
_VALUES: dict[str, Carry] = {
    "source.ip": clauses.block,
    "remote.ip": clauses.block,
    "destination.ip": clauses.block,
    "destination.port": clauses.port,
    "source.namespace": clauses.text,
    "source.principal": clauses.principal,
    "source.trustDomain": clauses.trust_domain,
    "request.auth.principal": clauses.text,
    "request.auth.audiences": clauses.text,
    "request.auth.presenter": clauses.text,
    "connection.sni": clauses.text,
}
_PSEUDO = {
    "request.headers[:path]": "Envoy compares the path with its query there: write to.paths",
    "request.headers[host]": "write to.hosts",
}


class Conditions:
    """Carries the conditions of one policy."""

    def __init__(self, namespace: str | None, *, grants: bool) -> None:
        """`grants`: the policy allows."""
        self._namespace = namespace
        self._grants = grants

    def carry(self, fields: Fields) -> dict[str, object] | Known:
        """One condition as an entry of our `when`."""
        unknown = Known.FALSE if self._grants else Known.TRUE
        key = fields.text("key")
        one = self._values(key, fields) if key is not None else None
        if key is None or one is None:
            fields.take("key", "values", "notValues")
            fields.rest()
            if "key" not in fields:
                fields.lose_all("a condition has a key")
            return unknown
        if "values" not in fields and "notValues" not in fields:
            fields.lose_all("a condition has values or notValues")
            return unknown
        found: dict[str, object] = {"key": key}
        results: list[Clause] = []
        for theirs, ours in (("values", "values"), ("notValues", "not_values")):
            if theirs not in fields:
                continue
            clause = carry(fields, theirs, one, negated=ours == "not_values", grants=self._grants)
            results.append(clause)
            if isinstance(clause, list):
                found[ours] = clause
        if (fields.rest() and self._grants) or Known.FALSE in results:
            return Known.FALSE
        return found if len(found) > 1 else Known.TRUE

    def _values(self, key: str, fields: Fields) -> Carry | None:
        """How the values of `key` are carried; None (and said) where the key is not."""
        if key in _PSEUDO:
            fields.lose("key", f'"{key}": {_PSEUDO[key]}')
            return None
        if key == "source.serviceAccount":
            return clauses.service_account(self._namespace)
        try:
            compile_condition(key, [], negated=False, deny=False, space_delimited={})
        except ValueError as why:
            fields.lose("key", str(why))
            return None
        if key == "request.headers[:authority]":
            return clauses.host
        return _VALUES.get(key, clauses.text)


def may_be_absent(key: str) -> bool:
    """True for what a request may not have."""
    return key not in _ALWAYS_THERE and key not in ("request.headers[:authority]", "request.headers[:method]")
