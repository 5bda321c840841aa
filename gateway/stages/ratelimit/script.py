"""The one Lua script: all limits of a request at one gate, judged together, spent together or not at all.

It reads Redis' own clock, so replicas whose clocks differ count alike. It is put together from the algorithms' own Lua.
A state is three doubles; each write renews the bucket's life, so none outlives its use.
"""

import struct
from collections.abc import Sequence

from gateway.kernel.store import Script
from gateway.stages.ratelimit.algorithm import State, price
from gateway.stages.ratelimit.algorithms import ALGORITHMS, Concurrency
from gateway.stages.ratelimit.askers import LATELY, MOST
from gateway.stages.ratelimit.buckets import Charge, fair_places

CLOCK = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000"
# After how many limits there are, for each: algorithm, quota, window, burst, cost, life in milliseconds, 1 where it is
# enforced, and of a fair one the number of the key that holds who asks (else 0). Where a limit is of concurrency, one
# more at the end: the id of the place that is taken, in a set by the end of its lease.
_FRAME = """
local algorithms = {%(algorithms)s}
%(clock)s
local function asking(set, who, quota, window)
  local lately = window > 0 and math.min(window, %(lately)d) or %(lately)d
  redis.call('ZREMRANGEBYSCORE', set, '-inf', now - lately)
  if redis.call('ZCARD', set) < math.min(quota, %(most)d) then
    redis.call('ZADD', set, now, who)
  else
    redis.call('ZADD', set, 'XX', now, who)
  end
  redis.call('EXPIRE', set, lately)
  return math.max(1, redis.call('ZCARD', set))
end
local reply, states, admitted = struct.pack('<d', now), {}, true
local limits = tonumber(ARGV[1])
for i = 1, limits do
  local key, at = KEYS[i], i * 8 - 7
  local quota, window, burst = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local need, among, set = tonumber(ARGV[at + 5]), 1, tonumber(ARGV[at + 8])
  local since, count, before, room = 0, 0, 0
  if ARGV[at + 1] == 'concurrency' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    count = redis.call('ZCARD', key)
  else
    local kept = redis.call('GET', key)
    if kept then since, count, before = struct.unpack('<ddd', kept) end
  end
  if set > 0 then
    among = asking(KEYS[set], key, quota, window)
    quota, burst = math.max(1, math.floor(quota / among)), math.max(1, math.floor(burst / among))
    need = math.min(need, burst)
  end
  since, count, before, room = algorithms[ARGV[at + 1]](since, count, before, now, quota, window, burst)
  if set > 0 and among == 1 then room = burst end
  if room < math.max(1, need) and ARGV[at + 7] == '1' then admitted = false end
  states[i] = {since, count, before, room >= need, room}
  reply = reply .. struct.pack('<ddddd', room, since, count, before, among)
end
if admitted then
  for i = 1, limits do
    local key, at = KEYS[i], i * 8 - 7
    local cost, state, more = tonumber(ARGV[at + 5]), states[i], 0%(lend)s
    if cost > 0 and state[4] and ARGV[at + 1] == 'concurrency' then
      redis.call('ZADD', key, now + ARGV[at + 6] / 1000, ARGV[limits * 8 + 2])
      redis.call('EXPIRE', key, ARGV[at + 6] / 1000)
    elseif cost > 0 and state[4] then
      redis.call('SET', key, struct.pack('<ddd', state[1], state[2] + cost + more, state[3]), 'PX', ARGV[at + 6])
    end
  end
end
return reply
"""


# A slice, as large as it is asked for while there is much, and ever smaller as the bucket empties: what others are
# refused for the sake of slices is less than what those hold.
_LEND = """
    if state[4] then
      more = math.max(0, math.min(tonumber(ARGV[limits * 8 + 1 + i]), math.floor((state[5] - cost) / 8)))
    end
    reply = reply .. struct.pack('<d', more)"""

# What is left of a slice, to the window of which it was taken; of a window that is over nothing is left.
_BACK = """
local algorithms = {%(algorithms)s}
%(clock)s
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
local since, count, before, room = struct.unpack('<ddd', kept)
local window, taken, left = tonumber(ARGV[3]), tonumber(ARGV[9]), tonumber(ARGV[10])
since, count, before, room = algorithms[ARGV[1]](since, count, before, now,
  tonumber(ARGV[2]), window, tonumber(ARGV[4]))
if since == taken or ARGV[1] == 'token_bucket' then
  count = math.max(0, count - left)
elseif since == taken + window then
  before = math.max(0, before - left)
else
  return 0
end
redis.call('SET', KEYS[1], struct.pack('<ddd', since, count, before), 'PX', ARGV[6])
return 1
"""


# What a process spent by itself while the store was away: added, and never to more than there is room for.
_OWED = """
local algorithms = {%(algorithms)s}
%(clock)s
local since, count, before, room = 0, 0, 0
local kept = redis.call('GET', KEYS[1])
if kept then since, count, before = struct.unpack('<ddd', kept) end
since, count, before, room = algorithms[ARGV[1]](since, count, before, now,
  tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
count = count + math.max(0, math.min(room, tonumber(ARGV[#ARGV])))
redis.call('SET', KEYS[1], struct.pack('<ddd', since, count, before), 'PX', ARGV[6])
return 1
"""


def compose(clock: str = CLOCK) -> Script:
    """The script; `clock` is a Lua statement that defines `now`, in seconds since the epoch."""
    return _composed(clock, "")


def lending(clock: str = CLOCK) -> Script:
    """The same, and lends a slice of each limit: how much of each is asked for stands at the end of its arguments."""
    return _composed(clock, _LEND)


def returning(clock: str = CLOCK) -> Script:
    """The script that gives back what is left of a slice: the arguments of its limit, its window's start, how much."""
    return Script(_BACK % {"algorithms": _algorithms(), "clock": clock})


def _composed(clock: str, lend: str) -> Script:
    parts = {"algorithms": _algorithms(), "clock": clock, "lately": LATELY, "most": MOST, "lend": lend}
    return Script(_FRAME % parts)


def settling() -> Script:
    """The script that one bucket's debt is told with: the arguments of its limit, then the debt."""
    return Script(_OWED % {"algorithms": _algorithms(), "clock": CLOCK})


def _algorithms() -> str:
    return "\n".join(
        f"['{a.name}'] = function(since, count, before, now, quota, window, burst){a.lua}end,"
        for a in (*ALGORITHMS, Concurrency)
    )


def arguments(charges: Sequence[Charge]) -> list[bytes]:
    """What the script is told of the limits that one call judges."""
    sets = dict(fair_places(charges))
    told = [b"%d" % len(charges)]
    for index, charge in enumerate(charges):
        told += about(charge, sets.get(index, -1) + 1)
    return told


def about(charge: Charge, asking: int = 0) -> list[bytes]:
    """What the script is told of one limit: a cost of 0 only looks; one in shadow refuses nothing."""
    algorithm, life = charge.limit.algorithm, max(1, round(charge.limit.life * 1000))
    cost = price(algorithm, charge.cost)
    numbers = (algorithm.quota, algorithm.window, algorithm.burst, cost, life, charge.enforced, asking)
    return [algorithm.name.encode(), *(b"%d" % number for number in numbers)]


class Answer:
    """The script's reply for a fixed number of limits, unpacked."""

    __slots__ = ("_limits", "size", "unpack")

    def __init__(self, limits: int) -> None:
        self._limits = limits
        form = struct.Struct(f"<{1 + 5 * limits}d")
        self.size, self.unpack = form.size, form.unpack  # Redis' time; room, state and among how many of each limit

    def read_one(self, reply: bytes) -> tuple[float, int, State]:
        """Redis' time, room and state where there is one limit. Raises struct.error."""
        now, room, since, count, before, _ = self.unpack(reply)
        return now, max(0, int(room)), (since, count, before)

    def read(self, reply: bytes) -> tuple[float, Sequence[tuple[int, State, int]]]:
        """Redis' time, and for each limit its room before this request, its state, and among how many it is shared.

        Raises struct.error.
        """
        numbers = self.unpack(reply)
        return numbers[0], [
            (max(0, int(numbers[i])), (numbers[i + 1], numbers[i + 2], numbers[i + 3]), int(numbers[i + 4]))
            for i in range(1, 1 + 5 * self._limits, 5)
        ]
