"""A refusal carries its reason for everybody and its detail for the log alone."""

from gateway.model.reason import Reason
from gateway.model.refused import Refused


def test_a_refusal_says_its_reason_and_detail_to_the_log() -> None:
    refused = Refused(Reason.TOKEN_EXPIRED, "it ended an hour ago")
    assert refused.reason is Reason.TOKEN_EXPIRED
    assert refused.args == ("token_expired", "it ended an hour ago")


def test_what_is_not_known_is_empty() -> None:
    refused = Refused(Reason.NO_ROUTE)
    assert (refused.rule, refused.where, refused.retry_after, refused.challenge) == (None, None, None, None)
    assert (refused.limits, refused.shadows, refused.audited) == ((), (), ())
