"""The facts take out once what many rules read."""

from dataclasses import replace

from gateway.model.request import Preflight
from gateway.stages.authorize import Facts
from tests.facts import context, principal, user
from tests.stages.authorize.test_clauses import ROUTE


def test_Z6_a_request_principal_needs_issuer_and_subject() -> None:
    alice = user("alice")
    found = [
        Facts(context(), ROUTE, principal(None, who), None).request_principal
        for who in (alice, replace(alice, subject=""), replace(alice, issuer=""), None)
    ]
    assert found == [("https://auth.example.com/alice",), None, None, None]


def test_the_method_is_the_one_that_is_judged() -> None:
    asking = context("/a", method="OPTIONS", preflight=Preflight("https://app.example.com", "PUT", ()))
    assert Facts(asking, ROUTE, principal(), None).method == "PUT"
    assert Facts(context("/a", method="OPTIONS"), ROUTE, principal(), None).path == "/a"
