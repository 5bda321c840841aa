"""What a trusted proxy says of the client: address, scheme and request id; from anyone else it is noise.

The client is the rightmost address of X-Forwarded-For that is not itself trusted; X-Forwarded-Host never counts.
A trusted peer that says nothing usable changes nothing (security rules H15 and H16).
"""

from ipaddress import ip_address
from string import ascii_letters, digits

from gateway.kernel.patterns.blocks import InBlocks, unmapped
from gateway.model.connection import IPAddress

_REQUEST_ID = frozenset(ascii_letters + digits + "._-")
_LONGEST_REQUEST_ID = 128


def client_address(peer: IPAddress, fields: tuple[str, ...], trusted: InBlocks) -> IPAddress:
    """The client behind a trusted `peer`: its X-Forwarded-For read from the right.

    Reading ends at the first address that is not trusted, or at what is no address: then the hop that said so counts.
    """
    client = peer
    for hop in reversed(",".join(fields).split(",")):
        address = _address(hop.strip(" \t"))
        if address is None:
            return client
        client = address
        if not trusted(address):
            return client
    return client


def _address(hop: str) -> IPAddress | None:
    """An address as proxies write it: bare, `v4:port`, `[v6]` or `[v6]:port`."""
    if hop[:1] == "[":
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return unmapped(ip_address(hop))
    except ValueError:
        return None


def client_scheme(scheme: str, fields: tuple[str, ...]) -> str:
    """X-Forwarded-Proto as the trusted peer wrote it (the last of a list), else the connection's own `scheme`."""
    if not fields:
        return scheme
    said = fields[-1].rpartition(",")[2].strip(" \t").lower()
    return said if said in ("http", "https") else scheme


def request_id(own: str, fields: tuple[str, ...]) -> str:
    """X-Request-Id of a trusted peer where it is one well-formed value, else our `own`."""
    if len(fields) != 1:
        return own
    said = fields[0]
    return said if 0 < len(said) <= _LONGEST_REQUEST_ID and _REQUEST_ID.issuperset(said) else own
