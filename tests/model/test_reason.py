"""Reason is closed and complete: contract section 5, and what was added to it since."""

import pytest

from gateway.model.reason import Effect, Reason

CONTRACT = {
    400: "bad_request ambiguous_path ambiguous_framing upgrade_refused",
    401: "credentials_missing token_malformed token_signature token_expired token_not_yet_valid token_issuer"
    " token_audience token_algorithm token_key_unknown token_type token_revoked binding_missing binding_mismatch"
    " dpop_invalid step_up_required certificate_required certificate_untrusted certificate_expired"
    " certificate_revoked spiffe_id_invalid",
    403: "denied_by_rule no_rule_allows scope_missing posture_failed posture_stale cors_refused exchange_refused",
    404: "no_route",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    414: "target_too_long",
    417: "expectation_failed",
    421: "misdirected",
    431: "headers_too_large",
    508: "loop_detected",
    429: "rate_limited",
    500: "internal",
    502: "upstream_connect upstream_identity upstream_protocol",
    503: "upstream_unavailable circuit_open overloaded keys_unavailable introspection_unavailable"
    " identity_unavailable posture_unavailable store_unavailable audit_unavailable draining exchange_unavailable",
    504: "upstream_timeout",
    0: "client_gone upstream_reset authority_ended",
}


def test_every_reason_of_the_contract_stands_under_its_status_and_no_other_exists() -> None:
    by_status: dict[int, set[str]] = {}
    for reason in Reason:
        by_status.setdefault(reason.status, set()).add(reason.code)
    assert by_status == {status: set(codes.split()) for status, codes in CONTRACT.items()}


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 3), (401, 16), (403, 7), (404, 12), (405, 12), (408, 4), (504, 4), (413, 8), (429, 8), (503, 14), (502, 14)],
)
def test_grpc_status(status: int, code: int) -> None:
    assert {reason.grpc_status for reason in Reason if reason.status == status} == {code}


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (403, 4403), (503, 1013), (500, 1011), (0, 1011)])
def test_websocket_close_code(status: int, code: int) -> None:
    assert {reason.websocket_code for reason in Reason if reason.status == status} == {code}


def test_what_would_help_an_attacker_looks_like_its_neighbour_on_the_wire() -> None:
    told = {reason.code: reason.wire for reason in Reason if reason.code != reason.wire}
    assert told == {
        "token_key_unknown": "token_signature",
        "certificate_expired": "certificate_untrusted",
        "certificate_revoked": "certificate_untrusted",
        "spiffe_id_invalid": "certificate_untrusted",
        "exchange_refused": "no_rule_allows",
    }


def test_effects_follow_the_status() -> None:
    assert Reason.TOKEN_EXPIRED.effect is Effect.CHALLENGE
    assert Reason.NO_RULE_ALLOWS.effect is Effect.DENY
    assert Reason.RATE_LIMITED.effect is Effect.LIMIT
    assert Reason.NO_ROUTE.effect is Effect.NO_ROUTE
    assert Reason.METHOD_NOT_ALLOWED.effect is Effect.NO_ROUTE
    assert Reason.AMBIGUOUS_PATH.effect is Effect.REFUSE
    assert Reason.KEYS_UNAVAILABLE.effect is Effect.ERROR


def test_only_a_credential_that_was_sent_and_failed_is_charged() -> None:
    assert Reason.TOKEN_SIGNATURE.failed_credential
    assert not Reason.CREDENTIALS_MISSING.failed_credential
    assert not Reason.CERTIFICATE_REQUIRED.failed_credential
    assert not Reason.KEYS_UNAVAILABLE.failed_credential
