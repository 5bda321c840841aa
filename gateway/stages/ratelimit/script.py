"""The one Lua script: all limits of a request at one gate, judged together, spent together or not at all.

It reads Redis' own clock, so replicas whose clocks differ count alike. It is put together from the algorithms' own Lua.
A state is three doubles; each write renews the bucket's life, so none outlives its use.
"""

import struct
from collections.abc import Sequence

from gateway.kernel.store import Script
from gateway.stages.ratelimit.algorithm import State, price
from gateway.stages.ratelimit.algorithms import ALGORITHMS, Concurrency
from gateway.stages.ratelimit.limit import Limit

CLOCK = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000"
# Seven arguments a limit: algorithm, quota, window, burst, cost, life in milliseconds, 1 where it is enforced.
# One more where a limit is of concurrency: the id of the place that is taken, in a set by the end of its lease.
_FRAME = """
local algorithms = {%(algorithms)s}
%(clock)s
local reply, states, admitted = struct.pack('<d', now), {}, true
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 7
  local since, count, before = 0, 0, 0
  if ARGV[at + 1] == 'concurrency' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    count = redis.call('ZCARD', key)
  else
    local kept = redis.call('GET', key)
    if kept then since, count, before = struct.unpack('<ddd', kept) end
  end
  local room
  since, count, before, room = algorithms[ARGV[at + 1]](since, count, before, now,
    tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]))
  if room < math.max(1, tonumber(ARGV[at + 5])) and ARGV[at + 7] == '1' then admitted = false end
  states[i] = {since, count, before, room}
  reply = reply .. struct.pack('<dddd', room, since, count, before)
end
if admitted then
  for i, key in ipairs(KEYS) do
    local at = (i - 1) * 7
    local cost, state = tonumber(ARGV[at + 5]), states[i]
    if cost > 0 and state[4] >= cost and ARGV[at + 1] == 'concurrency' then
      redis.call('ZADD', key, now + ARGV[at + 6] / 1000, ARGV[#KEYS * 7 + 1])
      redis.call('EXPIRE', key, ARGV[at + 6] / 1000)
    elseif cost > 0 and state[4] >= cost then
      redis.call('SET', key, struct.pack('<ddd', state[1], state[2] + cost, state[3]), 'PX', ARGV[at + 6])
    end
  end
end
return reply
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
count = count + math.max(0, math.min(room, tonumber(ARGV[8])))
redis.call('SET', KEYS[1], struct.pack('<ddd', since, count, before), 'PX', ARGV[6])
return 1
"""


def compose(clock: str = CLOCK) -> Script:
    """The script; `clock` is a Lua statement that defines `now`, in seconds since the epoch."""
    return Script(_FRAME % {"algorithms": _algorithms(), "clock": clock})


def settling() -> Script:
    """The script that one bucket's debt is told with: the arguments of its limit, then the debt."""
    return Script(_OWED % {"algorithms": _algorithms(), "clock": CLOCK})


def _algorithms() -> str:
    return "\n".join(
        f"['{a.name}'] = function(since, count, before, now, quota, window, burst){a.lua}end,"
        for a in (*ALGORITHMS, Concurrency)
    )


def arguments(limit: Limit, cost: int) -> list[bytes]:
    """What the script is told of one limit: `cost` 0 only looks; one in shadow refuses nothing."""
    algorithm, life = limit.algorithm, max(1, round(limit.life * 1000))
    numbers = (algorithm.quota, algorithm.window, algorithm.burst, price(algorithm, cost), life, limit.shadow is None)
    return [algorithm.name.encode(), *(b"%d" % number for number in numbers)]


class Answer:
    """The script's reply for a fixed number of limits, unpacked."""

    __slots__ = ("_format", "_limits")

    def __init__(self, limits: int) -> None:
        self._limits = limits
        self._format = struct.Struct(f"<{1 + 4 * limits}d")

    def read(self, reply: bytes) -> tuple[float, Sequence[tuple[int, State]]]:
        """Redis' time, and for each limit its room before this request and its state. Raises struct.error."""
        numbers = self._format.unpack(reply)
        return numbers[0], [
            (max(0, int(numbers[i])), (numbers[i + 1], numbers[i + 2], numbers[i + 3]))
            for i in range(1, 1 + 4 * self._limits, 4)
        ]
