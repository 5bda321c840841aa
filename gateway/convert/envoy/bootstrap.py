"""`export envoy`: a loaded config as the bootstrap that starts an Envoy which decides the same.

What cannot be carried is said with its place. A rule or requirement that cannot be asked never allows more for it.
Source: Envoy v3 API, config.bootstrap.v3.
"""

from dataclasses import dataclass

from gateway.config.schema import Config
from gateway.convert.envoy import clusters
from gateway.convert.envoy.carried import say_what_is_not
from gateway.convert.envoy.limits import Limits
from gateway.convert.envoy.listeners import Listeners
from gateway.convert.envoy.routes import Routes
from gateway.convert.envoy.rules import Rules
from gateway.convert.envoy.tokens import Tokens
from gateway.convert.report import NotCarried, Report

_ALWAYS = (
    "answers: Envoy answers in its own words; without a credential or certificate 403 (here 401)",
    "methods: one that no route takes is 404 to Envoy (here 405)",
    "paths: Envoy lets through // and doubly encoded characters that are 400 here",
    "headers: a repeated field is one value joined by commas to Envoy; here every repeat is judged",
    "tokens: Envoy takes every algorithm that the key set's keys allow, and looks at neither typ nor cnf",
    "records: Envoy writes an access log, not a chain of audit records, and nothing before it forwards",
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it."""

    bootstrap: dict[str, object]
    not_carried: tuple[NotCarried, ...]
    notes: tuple[str, ...]


def export(config: Config) -> Exported:
    """The bootstrap of `config`."""
    report = Report()
    say_what_is_not(config, report)
    tokens, limits = Tokens(config, report), Limits(config, report)
    routes = Routes(config, Rules(config, report), tokens, limits, report)
    listeners = Listeners(config, routes, tokens, limits, report)
    resources: dict[str, object] = {
        "listeners": [listeners.listener(each) for each in config.listeners.values()],
        "clusters": [
            *(clusters.cluster(config, upstream, report) for upstream in config.upstreams.values()),
            *tokens.clusters,
        ],
    }
    for note in _ALWAYS:
        report.note(note)
    return Exported({"static_resources": resources}, report.not_carried, report.notes)
