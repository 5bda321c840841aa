"""authentications_total: each credential that was judged, once."""

from gateway.kernel.cells import Metrics
from gateway.model.reason import Reason
from gateway.stages.authenticate.counters import UNCOUNTED, Counters


def test_results_and_reasons_are_labels() -> None:
    metrics = Metrics()
    counters = Counters(metrics.authentications)
    counters.count("jwt", None)
    counters.count("jwt", None)
    counters.count("jwt", Reason.TOKEN_EXPIRED)
    counters.count("introspection", Reason.TOKEN_REVOKED, shadow=True)
    counters.count("introspection", None, shadow=True)
    assert sorted(metrics.authentications.rows()) == [
        (("introspection", "shadow_ok", ""), 1.0),
        (("introspection", "shadow_refused", "token_revoked"), 1.0),
        (("jwt", "ok", ""), 2.0),
        (("jwt", "refused", "token_expired"), 1.0),
    ]


def test_counts_outlive_the_snapshot_that_made_them() -> None:
    metrics = Metrics()
    for _ in range(2):
        Counters(metrics.authentications).count("certificate", None)
    assert metrics.authentications.rows() == [(("certificate", "ok", ""), 2.0)]


def test_what_is_judged_once_more_is_not_counted() -> None:
    UNCOUNTED.count("jwt", None)
    UNCOUNTED.count("jwt", Reason.TOKEN_EXPIRED, shadow=True)
