"""Every reason for which the gateway refuses, each with its HTTP, gRPC and WebSocket answer.

One closed enum: log, audit, explain, metrics, tests and answers share it.
What a client may not tell apart has a `wire` reason of its own (an unknown key looks like a bad signature).
"""

from enum import Enum, StrEnum


class Effect(StrEnum):
    """What became of a request, in explain, test, audit and metrics."""

    ALLOW = "allow"
    DENY = "deny"  # 403
    CHALLENGE = "challenge"  # 401
    LIMIT = "limit"  # 429
    NO_ROUTE = "no_route"  # 404, 405
    REFUSE = "refuse"  # every other 4xx
    ERROR = "error"  # 5xx


_GRPC = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 408: 4, 504: 4, 413: 8, 429: 8, 503: 14, 502: 14, 500: 13}
_EFFECT = {
    401: Effect.CHALLENGE,
    403: Effect.DENY,
    404: Effect.NO_ROUTE,
    405: Effect.NO_ROUTE,
    429: Effect.LIMIT,
}
_NOT_A_FAILED_CREDENTIAL = {"credentials_missing", "certificate_required", "step_up_required"}
_WEBSOCKET = {401: 4401, 403: 4403, 503: 1013}


class Reason(Enum):
    """One reason: its name, its HTTP status, and what a client is told."""

    BAD_REQUEST = "bad_request", 400, "the request is malformed"
    AMBIGUOUS_PATH = "ambiguous_path", 400, "the path can be read in more than one way"
    AMBIGUOUS_FRAMING = "ambiguous_framing", 400, "the message's length can be read in more than one way"
    UPGRADE_REFUSED = "upgrade_refused", 400, "this route does not upgrade connections"

    CREDENTIALS_MISSING = "credentials_missing", 401, "a credential is required"
    TOKEN_MALFORMED = "token_malformed", 401, "the token is malformed"
    TOKEN_SIGNATURE = "token_signature", 401, "the token's signature does not verify"
    TOKEN_EXPIRED = "token_expired", 401, "the token has expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", 401, "the token is not valid yet"
    TOKEN_ISSUER = "token_issuer", 401, "the token's issuer is not trusted here"
    TOKEN_AUDIENCE = "token_audience", 401, "the token is meant for another audience"
    TOKEN_ALGORITHM = "token_algorithm", 401, "the token's algorithm is not accepted"
    TOKEN_KEY_UNKNOWN = "token_key_unknown", 401, "the token's signature does not verify"
    TOKEN_TYPE = "token_type", 401, "this type of token is not accepted"
    TOKEN_REVOKED = "token_revoked", 401, "the token has been revoked"
    BINDING_MISSING = "binding_missing", 401, "the token's proof of possession is missing"
    BINDING_MISMATCH = "binding_mismatch", 401, "the token is bound to another key"
    DPOP_INVALID = "dpop_invalid", 401, "the DPoP proof is not acceptable"
    STEP_UP_REQUIRED = "step_up_required", 401, "a stronger or fresher login is required"
    CERTIFICATE_REQUIRED = "certificate_required", 401, "a client certificate is required"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted", 401, "the client certificate is not trusted"
    CERTIFICATE_EXPIRED = "certificate_expired", 401, "the client certificate is not trusted"
    CERTIFICATE_REVOKED = "certificate_revoked", 401, "the client certificate is not trusted"
    SPIFFE_ID_INVALID = "spiffe_id_invalid", 401, "the client certificate is not trusted"

    DENIED_BY_RULE = "denied_by_rule", 403, "a rule denies this request"
    NO_RULE_ALLOWS = "no_rule_allows", 403, "no rule allows this request"
    SCOPE_MISSING = "scope_missing", 403, "the token lacks a required scope"
    POSTURE_FAILED = "posture_failed", 403, "the device does not meet the requirements"
    POSTURE_STALE = "posture_stale", 403, "what is known of the device is too old"
    EXCHANGE_REFUSED = "exchange_refused", 403, "no rule allows this request"
    CORS_REFUSED = "cors_refused", 403, "this origin may not call this resource"

    NO_ROUTE = "no_route", 404, "nothing is served here"
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "the method is not served here"
    REQUEST_TIMEOUT = "request_timeout", 408, "the request took too long to arrive"
    BODY_TOO_LARGE = "body_too_large", 413, "the body is larger than this route accepts"
    TARGET_TOO_LONG = "target_too_long", 414, "the request target is too long"
    EXPECTATION_FAILED = "expectation_failed", 417, "the expectation is not supported"
    MISDIRECTED = "misdirected", 421, "this connection does not serve this host"
    HEADERS_TOO_LARGE = "headers_too_large", 431, "the request's headers are too large"
    LOOP_DETECTED = "loop_detected", 508, "the request has passed through this gateway already"
    RATE_LIMITED = "rate_limited", 429, "too many requests"

    INTERNAL = "internal", 500, "the gateway failed"
    UPSTREAM_CONNECT = "upstream_connect", 502, "the backend could not be reached"
    UPSTREAM_IDENTITY = "upstream_identity", 502, "the backend could not prove its identity"
    UPSTREAM_PROTOCOL = "upstream_protocol", 502, "the backend's answer was not acceptable"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable", 503, "no backend is available"
    CIRCUIT_OPEN = "circuit_open", 503, "the backend is being spared"
    OVERLOADED = "overloaded", 503, "the gateway is overloaded"
    KEYS_UNAVAILABLE = "keys_unavailable", 503, "the issuer's keys are not available"
    INTROSPECTION_UNAVAILABLE = "introspection_unavailable", 503, "the issuer's introspection is not available"
    EXCHANGE_UNAVAILABLE = "exchange_unavailable", 503, "the issuer's token exchange is not available"
    IDENTITY_UNAVAILABLE = "identity_unavailable", 503, "the gateway's identity is not available"
    POSTURE_UNAVAILABLE = "posture_unavailable", 503, "the device inventory is not available"
    STORE_UNAVAILABLE = "store_unavailable", 503, "the store is not available"
    AUDIT_UNAVAILABLE = "audit_unavailable", 503, "the decision could not be recorded"
    DRAINING = "draining", 503, "the gateway is shutting down"
    UPSTREAM_TIMEOUT = "upstream_timeout", 504, "the backend took too long"

    CLIENT_GONE = "client_gone", None, "the client went away"
    UPSTREAM_RESET = "upstream_reset", None, "the backend broke off its answer"
    AUTHORITY_ENDED = "authority_ended", None, "what authorised this stream has ended"

    def __init__(self, code: str, status: int | None, title: str) -> None:
        self._value_ = code
        self.code = code  # its name in answers, records and metrics
        self.status = status = status if status is not None else 0  # 0: no answer is sent, only recorded
        self.title = title
        # the effect that a refusal for this reason has
        self.effect = Effect.ERROR if status >= 500 else _EFFECT.get(status, Effect.REFUSE)
        # true when a credential was sent and did not hold: charged to the address
        self.failed_credential = status == 401 and code not in _NOT_A_FAILED_CREDENTIAL

    __hash__ = object.__hash__  # by identity, in C: Enum's hashes the name, by a call of Python for each look-up

    @property
    def wire(self) -> str:
        """The reason that the client is told: what would help an attacker is folded into its neighbour."""
        return _WIRE.get(self, self).code

    @property
    def grpc_status(self) -> int:
        """The gRPC status code that stands for it (UNKNOWN where HTTP has no counterpart)."""
        return _GRPC.get(self.status, 13 if self.status >= 500 else 2)

    @property
    def websocket_code(self) -> int:
        """The close code after a 101 (RFC 6455 section 7.4; 4000-4999 are ours)."""
        return _WEBSOCKET.get(self.status, 1011)


_WIRE = {
    Reason.TOKEN_KEY_UNKNOWN: Reason.TOKEN_SIGNATURE,
    Reason.CERTIFICATE_EXPIRED: Reason.CERTIFICATE_UNTRUSTED,
    Reason.CERTIFICATE_REVOKED: Reason.CERTIFICATE_UNTRUSTED,
    Reason.SPIFFE_ID_INVALID: Reason.CERTIFICATE_UNTRUSTED,
    Reason.EXCHANGE_REFUSED: Reason.NO_RULE_ALLOWS,
}
