"""Where revocations are written down for the other processes: a file of the state directory, or Redis.

Rule: both are logs: who learns something appends it, who wants to know reads on from where it was.
Invariant: an event is taken once (its name is remembered beside what it brought, in one step), and a log that begins
anew is read anew: nothing is lost to a reader.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gateway.kernel.store import Call, RedisStore, Script, StoreUnavailable
from gateway.kernel.strict import NotStrict, parse_object
from gateway.model.json import JSON
from gateway.stages.authenticate.revoked import Revocation, RevokedTokens

log = logging.getLogger(__name__)

KEEP = 7 * 86400.0  # seconds for which what ended a session or a subject's tokens is remembered
FILE = "revocations.jsonl"
_COMPACT = 1 << 20  # bytes: a larger file is written anew when an event comes, without what is over


class RevocationLog(Protocol):
    """What the processes of one gateway share of its revocations."""

    async def read(self) -> list[Revocation]:
        """What was appended since the last call, all of it at the first. Raises OSError, StoreUnavailable."""
        ...

    async def append(self, revocations: Sequence[Revocation], event: str, life: float, now: float) -> bool:
        """Write down what an event brought; False, and nothing is written, when that event was taken before.

        `event`: its name, 32 hex digits, remembered for `life` seconds. Raises OSError, StoreUnavailable.
        """
        ...


class FileLog:
    """For the workers of one machine: a line an entry, appended under a lock."""

    def __init__(self, state: Path, clock: Callable[[], float]) -> None:
        """`state`: the directory for what outlives the process; `clock`: wall clock, seconds since the epoch."""
        self.path = state / FILE
        self._clock = clock
        self._inode = 0
        self._offset = 0  # bytes that were read
        self._unread: list[Revocation] = []
        self._events: dict[str, float] = {}  # that were taken, and until when that is remembered

    def __repr__(self) -> str:
        return f"FileLog({self.path})"

    async def read(self) -> list[Revocation]:
        """Costs a stat where nothing was appended."""
        self._catch_up()
        found, self._unread = self._unread, []
        return found

    async def append(self, revocations: Sequence[Revocation], event: str, life: float, now: float) -> bool:
        """On the loop: the lock is held for a few milliseconds, and events are rare."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._catch_up()  # what another process took meanwhile
            if self._events.get(event, 0.0) > now:
                return False
            if self._offset > _COMPACT:
                self._compact(now)
            lines = [_line(each) for each in revocations]
            self._write(b"".join([*lines, json.dumps({"event": event, "until": now + life}).encode() + b"\n"]))
        finally:
            os.close(lock)  # gives the lock up
        return True

    def _catch_up(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return
        if found.st_ino != self._inode or found.st_size < self._offset:
            self._inode, self._offset = found.st_ino, 0
        if found.st_size == self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1  # a line may be on its way
        self._offset += whole
        for line in data[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        now = self._clock()
        try:
            entry = parse_object(line)
            until = _number(entry["until"])
            if until <= now:
                return
            if "event" in entry:
                self._events = {event: end for event, end in self._events.items() if end > now}
                self._events[str(entry["event"])] = until
            else:
                mark = bytes.fromhex(str(entry["mark"]))
                self._unread.append(Revocation(mark, _number(entry["before"]), until))
        except (NotStrict, KeyError, ValueError):
            log.error("%s: a line of it is no revocation and is ignored", self.path)

    def _write(self, data: bytes) -> None:
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # who wrote last was stopped in the middle of a line
                    data = b"\n" + data
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _compact(self, now: float) -> None:
        kept = [line + b"\n" for line in self.path.read_bytes().splitlines() if _lasts(line, now)]
        fresh = self.path.with_suffix(f".{os.getpid()}.tmp")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join(kept))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


_APPEND = Script("""
if not redis.call('SET', KEYS[1] .. ':' .. ARGV[1], '', 'NX', 'PX', ARGV[2]) then
  return 0
end
for i = 4, #ARGV do
  redis.call('XADD', KEYS[1], '*', 'r', ARGV[i])
end
redis.pcall('XTRIM', KEYS[1], 'MINID', '~', redis.call('TIME')[1] - ARGV[3] .. '000-0')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
""")
# Behind the end there is nothing; behind an end that is not the log's own the log is another one: from its beginning.
_READ = Script("""
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #newest == 0 then
  return {}
end
local last = ARGV[1]
if newest[1][1] == last then
  return {last, {}}
end
local found = redis.call('XREAD', 'COUNT', 500, 'STREAMS', KEYS[1], last)
if not found or #found == 0 then
  found = redis.call('XREAD', 'COUNT', 500, 'STREAMS', KEYS[1], '0-0')
end
local entries = {}
for i, entry in ipairs(found[1][2]) do
  last = entry[1]
  entries[i] = entry[2][2]
end
return {last, entries}
""")
_KEY = b"revocations"


class RedisLog:
    """For all replicas: a stream, and a key beside it for each event that was taken, in the same slot."""

    def __init__(self, store: RedisStore, held: RevokedTokens) -> None:
        """`held`: what is written down again where the store has lost its log (a flush, a failover)."""
        self.store = store
        self._held = held
        self._last = b"0-0"  # the entry that was read last

    def __repr__(self) -> str:
        return f"RedisLog({self.store!r})"

    async def read(self) -> list[Revocation]:
        """Waits for Redis, for as long as the store's timeout at most a page."""
        found: list[Revocation] = []
        while True:
            reply = await self.store.run(self._call(_READ, self._last), (_KEY,))
            if not isinstance(reply, list):
                raise StoreUnavailable("what answers is not Redis")
            if not reply:
                await self._restore()
                return found
            last, entries = reply
            if not isinstance(last, bytes) or not isinstance(entries, list):
                raise StoreUnavailable("what answers is not Redis")
            self._last = last
            if not entries:
                return found
            found += [each for each in map(_unpacked, entries) if each is not None]

    async def append(self, revocations: Sequence[Revocation], event: str, life: float, now: float) -> bool:
        """See RevocationLog."""
        arguments = [event.encode(), b"%d" % (life * 1000), b"%d" % KEEP, *map(_packed, revocations)]
        return await self.store.run(self._call(_APPEND, *arguments), (_KEY,)) == 1

    async def _restore(self) -> None:
        """The log is empty. Several processes that notice it write the same: twice is no harm."""
        held = tuple(self._held)
        if self._last != b"0-0" and held:
            log.warning("the store has lost its list of revoked tokens: %d are written down again", len(held))
            await self.append(held, os.urandom(16).hex(), 1.0, 0.0)
        self._last = b"0-0"

    def _call(self, script: Script, *arguments: bytes) -> Call:
        return Call(script, prefix=self.store.prefix, keys=1, length=len(_KEY), arguments=arguments)


def _line(each: Revocation) -> bytes:
    return json.dumps({"mark": each.mark.hex(), "before": each.before, "until": each.until}).encode() + b"\n"


def _lasts(line: bytes, now: float) -> bool:
    try:
        return _number(parse_object(line)["until"]) > now
    except (NotStrict, KeyError, ValueError):
        return False


def _packed(each: Revocation) -> bytes:
    return f"{each.mark.hex()} {each.before!r} {each.until!r}".encode()


def _unpacked(entry: object) -> Revocation | None:
    try:
        mark, before, until = entry.decode().split(" ") if isinstance(entry, bytes) else ("", "", "")
        return Revocation(bytes.fromhex(mark), float(before), float(until))
    except ValueError:
        log.error("an entry of the store's list of revoked tokens cannot be read and is ignored")
        return None


def _number(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    return float(value)
