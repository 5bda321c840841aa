"""A refusal carries its reason for everybody and its detail for the log alone."""

from gateway.model.reason import Reason
from gateway.model.refused import Challenge, Refused


def test_a_refusal_says_its_reason_and_detail_to_the_log() -> None:
    refused = Refused(Reason.TOKEN_EXPIRED, "it ended an hour ago")
    assert refused.reason is Reason.TOKEN_EXPIRED
    assert refused.args == ("token_expired", "it ended an hour ago")


def test_what_is_not_known_is_empty() -> None:
    refused = Refused(Reason.NO_ROUTE)
    assert (refused.rule, refused.where, refused.retry_after, refused.challenge) == (None, None, None, None)
    assert (refused.limits, refused.shadows, refused.audited) == ((), (), ())


def test_to_be_asked_for_a_nonce_is_no_failed_credential() -> None:
    assert Refused(Reason.DPOP_INVALID).failed_credential
    assert Refused(Reason.DPOP_INVALID, challenge=Challenge(certificate=True)).failed_credential
    assert not Refused(Reason.DPOP_INVALID, challenge=Challenge(nonce="n")).failed_credential
    assert not Refused(Reason.STORE_UNAVAILABLE).failed_credential
