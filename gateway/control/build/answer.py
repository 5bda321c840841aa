"""`cors` of the routes and what the issuers ask for, into the answer stage."""

from gateway.config.schema import Config, Cors
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors as CorsFields
from gateway.stages.answer.stage import Answer

_PROOF_ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")  # of DPoP proofs (RFC 9449 section 7.1, `algs`)


def build_answer(config: Config) -> Answer:
    """The answer stage of `config`."""
    dpop = bool(config.issuers)  # each takes bound tokens: `binding.dpop` is `optional`
    challenges = Challenges(tokens=bool(config.issuers), dpop_algorithms=_PROOF_ALGORITHMS if dpop else ())
    return Answer([_cors(route.cors) if route.cors is not None else None for route in config.routes], challenges)


def _cors(cors: Cors) -> CorsFields:
    return CorsFields(
        cors.origins,
        cors.methods,
        cors.headers,
        cors.expose,
        credentials=cors.credentials,
        max_age=int(cors.max_age),
    )
