"""The peers, a file each. One more is a file here and its line in this tuple."""

from loadtest.peer import Peer
from loadtest.peers.caddy import Caddy
from loadtest.peers.envoy import Envoy
from loadtest.peers.gateway import Gateway
from loadtest.peers.haproxy import HAProxy
from loadtest.peers.nginx import Nginx

PEERS: tuple[Peer, ...] = (Gateway(), Envoy(), HAProxy(), Nginx(), Caddy())

__all__ = ["PEERS"]
