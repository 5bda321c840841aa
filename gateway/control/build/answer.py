"""`cors` of the routes and what the issuers ask for, into the answer stage."""

from gateway.config.schema import Config, Cors
from gateway.stages.answer.challenge import Challenges
from gateway.stages.answer.cors import Cors as CorsFields
from gateway.stages.answer.stage import Answer
from gateway.stages.authenticate.bindings.dpop import PROOF_ALGORITHMS


def build_answer(config: Config) -> Answer:
    """The answer stage of `config`."""
    modes = {issuer.binding.dpop for issuer in config.issuers.values()}
    challenges = Challenges(
        tokens=bool(config.issuers),
        dpop_algorithms=PROOF_ALGORITHMS if modes - {"off"} else (),
        dpop_only=modes == {"required"},
    )
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
