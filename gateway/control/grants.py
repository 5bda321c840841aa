"""Just-in-time grants at work in one worker: grants.yaml beside the config, taken up when it changes.

Rule: read whole, verified whole, swapped whole. A file that does not hold never replaces one that did, and is told in
the log, in /readyz?verbose and as a failed `config` record.
Invariant: nothing serves whose signer is not, or no longer, named by the config at work; a grant ends by itself.
"""

import asyncio
import logging
import time

from gateway.config.grants import grants_path, still_granted, with_grants
from gateway.config.problem import ConfigInvalid, ConfigUnreadable
from gateway.config.schema import Config
from gateway.config.schema.grants import Granted
from gateway.control.build.record import grants_told, input_names
from gateway.control.feeds.feed import Watched
from gateway.control.feeds.watch import Bell
from gateway.control.runtime import Runtime
from gateway.stages.record import record_config

log = logging.getLogger(__name__)


class GrantFile:
    """Keeps one worker's grants at what the file says."""

    def __init__(self, runtime: Runtime, lock: asyncio.Lock, *, loud: bool = True) -> None:
        """`lock`: held by whoever changes what is at work; `loud`: of several workers one says what is wrong."""
        self._runtime = runtime
        self._lock = lock
        self._loud = loud
        self._good: tuple[Granted, ...] = ()
        self._watched: Watched | None = None
        self._bell: Bell | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.trouble: str | None = None  # why older grants than the file's are at work

    def attach(self, config: Config) -> Config:
        """`config` with the grants of the file; with the last good ones that it still allows, where it does not hold.

        Never raises.
        """
        try:
            held = with_grants(config)
            found = held.granted
        except (ConfigInvalid, ConfigUnreadable) as error:
            self._refused(error)
            found = still_granted(self._good, config.grants)
        else:
            self.trouble = None
            for warning in held.warnings[len(config.warnings) :] if self._loud else ():
                log.warning("grants: %s: %s", warning.where, warning)
        self._good = found
        return config.replace(granted=found)

    def take(self) -> bool:
        """Put what the file says now to work, for the config at work. True when it is not what was at work."""
        before = self._runtime.parts.config
        now = self.attach(before)
        if now.granted == before.granted:
            return False
        self._runtime.grant(now)
        self._wind()
        if self._loud:
            log.info("grants at work: %s", ", ".join(each.rule.name for each in now.granted) or "none")
        return True

    def started(self) -> None:
        """A config was put to work: watch the file beside it."""
        path = grants_path(self._runtime.parts.config)
        self._watched = Watched(path)
        self._watched.changed()
        bell, self._bell = self._bell, self._runtime.watch.bell(path)
        if bell is not None:
            bell.ring()  # who waits on it waits on the new one next
            bell.close()
        self._wind()

    async def watch(self) -> None:
        """Take the file up when it changes. Runs until it is cancelled."""
        try:
            while True:
                bell = self._bell
                await (bell.wait() if bell is not None else asyncio.sleep(self._runtime.watch.poll))
                if self._watched is not None and self._watched.changed():
                    async with self._lock:
                        self._turn()
        finally:
            if self._bell is not None:
                self._bell.close()
            if self._timer is not None:
                self._timer.cancel()

    def _wind(self) -> None:
        """Wake up when the next grant ends: what it opened is judged again then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.time()
        ends = [each.ends for each in self._good if each.ends > now]
        if ends:
            self._timer = asyncio.get_running_loop().call_later(min(ends) - now, self._ended)

    def _ended(self) -> None:
        self._runtime.streams.rejudge("a grant has ended")
        self._wind()

    def _turn(self) -> None:
        changed = self.take()
        config = self._runtime.parts.config
        if changed or self.trouble is not None:
            record_config(
                self._runtime.parts.audit,
                digest=config.digest,
                ok=self.trouble is None,
                errors=0 if self.trouble is None else 1,
                inputs=input_names(config),
                grants=grants_told(config),
            )

    def _refused(self, error: ConfigInvalid | ConfigUnreadable) -> None:
        lines = [f"{each.where}: {each}" for each in error.errors] if isinstance(error, ConfigInvalid) else [str(error)]
        self.trouble = lines[0]
        if self._loud:
            for line in lines:
                log.error("grants: %s", line)
            log.error("grants refused: the last good ones stay in force until they end")
