"""Every balancer, by the name that routes.yaml gives it (`balance:`)."""

from gateway.upstreams.balancer import MakeBalancer
from gateway.upstreams.balancers.consistent_hash import ConsistentHash
from gateway.upstreams.balancers.least_request import LeastRequest
from gateway.upstreams.balancers.round_robin import RoundRobin
from gateway.upstreams.balancers.weighted_random import WeightedRandom

BALANCERS: dict[str, MakeBalancer] = {
    "consistent_hash": ConsistentHash,
    "least_request": LeastRequest,
    "random": WeightedRandom,
    "round_robin": RoundRobin,
}
