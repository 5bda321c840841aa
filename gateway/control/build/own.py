"""The gateway's own addresses, under `/.well-known/gateway/`: which there are, and who answers at each.

Rule: a path stands in `own_paths` by the config alone, so that offline commands route it as serving does.
Invariant: the two tables below name the same paths (a test holds them to it); no route of a file can take one.
"""

from collections.abc import Mapping

from gateway.config.schema import Config
from gateway.control.build.receivers import receiver_paths
from gateway.control.feeds.assertion import AssertionKeys
from gateway.stages.forward.local import LiveAnswer
from gateway.stages.forward.stage import Way
from gateway.stages.route import OwnPaths

BASE = "/.well-known/gateway/"
JWKS = BASE + "jwks.json"
_READ = frozenset({"GET", "HEAD"})
_RECEIVE = frozenset({"POST"})
_JWKS_FIELDS = [(b"content-type", b"application/jwk-set+json"), (b"cache-control", b"public, max-age=60")]


def own_paths(config: Config) -> OwnPaths:
    """Which methods the gateway itself answers where, on every listener with TLS."""
    served = frozenset(name for name, listener in config.listeners.items() if listener.tls is not None)
    return OwnPaths(_methods(config), served, frozenset(config.listeners) - served)


def own_ways(config: Config, receivers: Mapping[str, Way], assertion: AssertionKeys | None = None) -> Mapping[str, Way]:
    """Who answers at each path of `own_paths`; `receivers`: of events; `assertion`: there where the config has it."""
    ways = dict(receivers)
    if assertion is not None:
        ways[JWKS] = LiveAnswer(lambda: assertion.document, _JWKS_FIELDS)
    return ways


def _methods(config: Config) -> dict[str, frozenset[str]]:
    methods = dict.fromkeys(receiver_paths(config), _RECEIVE)
    if config.assertion is not None:
        methods[JWKS] = _READ
    return methods
