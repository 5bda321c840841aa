"""Every balancer, by the name that routes.yaml gives it (`balance:`)."""

from gateway.upstreams.balancer import MakeBalancer
from gateway.upstreams.balancers.least_request import LeastRequest
from gateway.upstreams.balancers.round_robin import RoundRobin

BALANCERS: dict[str, MakeBalancer] = {
    "least_request": LeastRequest,
    "round_robin": RoundRobin,
}
