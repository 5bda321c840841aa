"""`match` of the file into the route stage."""

from pathlib import Path

from gateway.control.build.route import build_routes
from gateway.model.reason import Reason
from tests.control.policy_config import config
from tests.facts import connection, context

ROUTES = """
- name: canary
  match: {hosts: [api.example.com], paths: ["/api/*"], methods: [GET], headers: {X-Canary: "1"}}
  upstream: api
  allow: [{from: {request_principals: ["*"]}}]
- {name: any-method, match: {paths: [/any], methods: ["*"], listeners: [edge]}, public: true, respond: {}}
- {name: rest, match: {paths: ["/api/*"], hosts: ["*"], methods: [GET]}, public: true, respond: {}}
"""


def test_every_key_of_match_takes_part(tmp_path: Path) -> None:
    routes = build_routes(config(tmp_path, routes=ROUTES))
    canary = routes(context("/api/x", headers={"x-canary": ("1",)}))
    assert (canary.name, canary.index, canary.public, canary.prefix) == ("canary", 0, False, "/api")
    assert canary.where is not None
    assert canary.where.line > 0
    assert routes(context("/api/x", host="other.example", headers={"x-canary": ("1",)})).name == "rest"
    assert routes(context("/any", method="PROPFIND")).name == "any-method"
    assert routes(context("/any", over=connection(listener="inner"))).refusal is Reason.NO_ROUTE
    assert routes(context("/api/x", method="PUT")).allowed_methods == ("GET",)
