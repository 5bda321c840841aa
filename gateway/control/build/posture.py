"""`posture` and `requires.posture` of the config into the posture stage.

Rule: files and inventories outlive a reload where their settings stay equal, and what they know with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.config.schema import Config, Posture
from gateway.control.feeds.devices import DeviceFile
from gateway.control.feeds.fetch import Fetcher, FetchError, NotServedError
from gateway.kernel.egress import Egress
from gateway.kernel.store import RedisStore, StoreUnavailable
from gateway.model.json import Claims
from gateway.model.principal import Principal
from gateway.stages.posture import JudgePosture, Requirement, Source, Unavailable, compile_device, compile_require
from gateway.stages.posture.device import DeviceKey
from gateway.stages.posture.sources.asked import AskedSource
from gateway.stages.posture.sources.assumed import AssumedSource
from gateway.stages.posture.sources.certificate import CertificateSource
from gateway.stages.posture.sources.claim import ClaimSource
from gateway.stages.posture.sources.file import FileSource
from gateway.stages.posture.sources.http import Fetch, HttpSource
from gateway.stages.posture.sources.store import Read, StoreSource

_TOTAL = 3.0  # seconds that an inventory has to answer
_UNKNOWN = (404, 410)


@dataclass(frozen=True, slots=True)
class _Inventory:
    """What an inventory hangs on: two that are equal are one over a reload."""

    url: str
    ca: Path | None
    max_age: float


@dataclass(frozen=True, slots=True)
class _Stored:
    """The same for a key of the store."""

    key: str
    store: RedisStore | None
    max_age: float


_Settings: TypeAlias = _Inventory | _Stored


class PostureSources:
    """The long-lived sources of a config: made by `posture_sources`, started when its snapshot is swapped in."""

    def __init__(
        self,
        files: Mapping[Path, DeviceFile],
        inventories: Mapping[_Settings, AskedSource],
        store: RedisStore | None,
    ) -> None:
        self.files = files
        self.inventories = inventories
        self._store = store

    def start(self) -> None:
        """Begin to watch the files, on the running loop."""
        for file in self.files.values():
            file.start()

    def reload(self) -> None:
        """Look at every file now."""
        for file in self.files.values():
            file.reload()

    async def close(self, keep: "PostureSources | None" = None) -> None:
        """Close what is not also one of `keep`'s."""
        for path, file in self.files.items():
            if keep is None or keep.files.get(path) is not file:
                await file.close()
        for settings, inventory in self.inventories.items():
            if keep is None or keep.inventories.get(settings) is not inventory:
                await inventory.close()

    def of(self, posture: Posture) -> Source | CertificateSource:
        """The source that a posture names."""
        source = posture.source
        if source.certificate is not None:
            return CertificateSource(source.certificate)
        if source.claim is not None:
            return ClaimSource(source.claim)
        if source.file is not None:
            return FileSource(self.files[source.file])
        return self.inventories[_settings(posture, self._store)]


def posture_sources(config: Config, previous: PostureSources | None, store: RedisStore | None = None) -> PostureSources:
    """Those of `previous` whose settings are equal, and fresh ones; `store`: None for memory://. Raises FeedError."""
    files: dict[Path, DeviceFile] = {}
    inventories: dict[_Settings, AskedSource] = {}
    for posture in config.posture.values():
        if posture.source.file is not None:
            path = posture.source.file
            before = previous.files.get(path) if previous is not None else files.get(path)
            files[path] = before or files.get(path) or DeviceFile(path)
        elif _is_asked(posture):
            settings = _settings(posture, store)
            known = previous.inventories.get(settings) if previous is not None else None
            inventories[settings] = known or _asked(settings)
    return PostureSources(files, inventories, store)


def serving_posture(config: Config, sources: PostureSources) -> JudgePosture:
    """The stage that serves `config`."""
    return _stage(config, {name: _requirement(each, sources.of(each)) for name, each in config.posture.items()})


def offline_posture(config: Config, assumed: Claims | None) -> JudgePosture:
    """The stage of `config` for `explain` and `test`.

    `assumed`: the facts, whatever the source and whatever names the device; without them claims and files say what they
    say, and what would have to be asked, an inventory or the store, knows no device.
    Raises FeedError for a file that cannot be used.
    """
    requirements = {}
    for name, posture in config.posture.items():
        if assumed is not None or _is_asked(posture):
            requirement = _requirement(posture, AssumedSource(assumed))
            device = requirement.device
            if assumed is not None and device is not None:
                requirement = replace(requirement, device=partial(_or_assumed, device))
        else:
            requirement = _requirement(
                posture, posture_sources(config.replace(posture={name: posture}), None).of(posture)
            )
        requirements[name] = requirement
    return _stage(config, requirements)


def _is_asked(posture: Posture) -> bool:
    """True where facts are asked for over the network."""
    return posture.source.http is not None or posture.source.store is not None


def _or_assumed(device: DeviceKey, principal: Principal) -> str:
    return device(principal) or "assumed"


def _stage(config: Config, requirements: Mapping[str, Requirement]) -> JudgePosture:
    return JudgePosture(
        {
            index: requirements[route.requires.posture]
            for index, route in enumerate(config.routes)
            if route.requires is not None and route.requires.posture is not None
        }
    )


def _requirement(posture: Posture, source: Source | CertificateSource) -> Requirement:
    device = posture.device
    if device is None and posture.source.certificate is not None:
        device = "certificate.fingerprint"
    return Requirement(
        posture.name,
        source,
        None if device is None else compile_device(device),
        tuple(compile_require(text) for text in posture.require),
        posture.max_age,
        posture.remediation,
        posture.mode == "shadow",
        posture.where,
    )


def _settings(posture: Posture, store: RedisStore | None) -> _Settings:
    source = posture.source
    if source.store is not None:
        return _Stored(source.store, store, posture.max_age)
    return _Inventory(source.http or "", source.ca, posture.max_age)


def _asked(settings: _Settings) -> AskedSource:
    if isinstance(settings, _Stored):
        return StoreSource(settings.key, _read(settings.store), settings.max_age)
    return HttpSource(settings.url, _fetch(settings), settings.max_age)


def _read(store: RedisStore | None) -> Read:
    """Commands to the store; memory:// holds nothing that anybody could have written."""

    async def read(command: tuple[bytes, ...]) -> bytes | None:
        if store is None:
            return None
        try:
            found = await store.read(*command)
        except StoreUnavailable as error:
            raise Unavailable(f"the store: {error}") from None
        return found if isinstance(found, bytes) else None

    return read


def _fetch(settings: _Inventory) -> Fetch:
    host = urlsplit(settings.url.replace("{device}", "device")).hostname or ""
    fetcher = Fetcher(Egress(frozenset({host})), settings.ca, _TOTAL)

    async def fetch(url: str) -> bytes | None:
        try:
            return (await fetcher.get(url)).body
        except NotServedError as error:
            if error.status in _UNKNOWN:
                return None
            raise Unavailable(str(error)) from None
        except FetchError as error:
            raise Unavailable(str(error)) from None

    return fetch
