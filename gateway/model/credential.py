"""A token as it was sent, before anybody has looked into it."""

from gateway.model.noun import noun


@noun
class SentToken:
    """Whatever its verifier does not take, a comma or a second token too, is malformed."""

    text: str
    dpop: bool  # under the DPoP scheme (RFC 9449 section 7.1)
    digest: bytes  # SHA-256 of the whole text: what is remembered of a token is kept under it
