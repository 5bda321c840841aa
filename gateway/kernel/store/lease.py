"""How many processes share the store: each renews a lease, those of the last 30 seconds are counted.

The renewal writes, so it is also the probe of a store that was down: one that is loading, full or read-only fails it.
"""

from gateway.kernel.store.script import Call, Script

LEASE = 30  # seconds
RENEWAL = 3.0  # seconds between renewals: so soon does a process hear of another

_SCRIPT = Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local life = tonumber(ARGV[2])
if ARGV[3] == 'end' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - life)
redis.call('EXPIRE', KEYS[1], life)
return redis.call('ZCARD', KEYS[1])
""")
NAME = b"processes"


def renewal(prefix: bytes, process: bytes, *, end: bool = False) -> Call:
    """The call that renews (or ends) the lease of `process` and answers how many there are."""
    arguments = (process, b"%d" % LEASE, b"end" if end else b"renew")
    return Call(_SCRIPT, prefix=prefix, keys=1, length=len(NAME), arguments=arguments)
