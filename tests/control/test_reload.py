"""Reloads: whole or not at all, and what only a restart can change."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.listeners import build_contexts, listener_limits
from gateway.control.reload import Reloader, fixed
from gateway.control.runtime import Runtime
from gateway.server.listener import Listener
from gateway.testing.ca import Authority
from gateway.testing.wait import until
from tests.serving import Gateway

ROOT = Authority("cluster.local")
FILE = """\
version: 1
workers: 1
listeners:
  edge: {address: "127.0.0.1:8443", tls: {certificate: edge.pem, key: edge.key}, limits: {headers: 10}}
  plain: {address: "127.0.0.1:8080"}
admin: {address: "127.0.0.1:9901"}
trust_domains: {cluster.local: {bundle: ca.pem}}
routes:
  - {name: all, match: {paths: ["/*"]}, public: true, respond: {status: 200, body: ok}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "routes.yaml").write_text(FILE)
    ROOT.issue(dns=["localhost"]).write(tmp_path, "edge")
    ROOT.write(tmp_path, "ca")
    return tmp_path / "routes.yaml"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@contextlib.asynccontextmanager
async def at_work(file: Path) -> AsyncGenerator[tuple[Runtime, dict[str, Listener], Reloader]]:
    runtime, config = Runtime(), load(file)
    parts = runtime.prepare(config)
    await runtime.adopt(parts)
    contexts = build_contexts(config, parts.sources.trust.current)
    listeners = {
        name: Listener(name, listener_limits(listener, 1), Gateway(), contexts=contexts[name])
        for name, listener in config.listeners.items()
    }
    reloader = Reloader(lambda: load(file), runtime, listeners)
    reloader.started()
    try:
        yield runtime, listeners, reloader
    finally:
        await runtime.close()


async def test_Z18_a_good_file_is_taken_over_whole(file: Path) -> None:
    async with at_work(file) as (runtime, listeners, reload):
        before, contexts = runtime.parts.snapshot, listeners["edge"].contexts
        change(file, "headers: 10", "headers: 20")
        result = await reload()
        assert (result.ok, result.errors, result.digest) == (True, (), runtime.parts.config.digest)
        assert runtime.parts.snapshot is not before
        assert listeners["edge"].limits.headers == 20
        assert listeners["edge"].contexts is not contexts
        metrics = runtime.metrics
        assert metrics.config_reloads.labels("success").value == 1
        assert metrics.config_info.rows() == [((result.digest,), 1.0)]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("public: true", "publik: true", "routes.yaml:9:"),
        ("version: 1", "version: 2", "routes.yaml:1:"),
        ("8080", "8081", "listeners.plain: its address and kind change only with a restart"),
        (", tls: {certificate: edge.pem, key: edge.key}", "", "listeners.edge: its address and kind"),
        ("  plain: {", "  other: {", "listeners.other: listeners come and go only with a restart"),
        ("9901", "9902", "admin: its address changes only with a restart"),
        ("workers: 1", "workers: 2", "workers: their number changes only with a restart"),
    ],
)
async def test_Z18_a_bad_file_changes_nothing(
    file: Path, old: str, new: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(file) as (runtime, listeners, reload):
        parts, contexts = runtime.parts, listeners["edge"].contexts
        change(file, old, new)
        change(file, "headers: 10", "headers: 20")
        result = await reload()
        assert not result.ok
        assert any(error in line for line in result.errors), result.errors
        assert all("\n" not in line for line in result.errors)
        assert result.digest == parts.config.digest
        assert runtime.parts is parts
        assert (listeners["edge"].contexts, listeners["edge"].limits.headers) == (contexts, 10)
        assert runtime.metrics.config_reloads.labels("failure").value == 1
        assert all(f"reload: {line}" in caplog.text for line in result.errors)


async def test_a_file_that_is_gone_changes_nothing(file: Path) -> None:
    async with at_work(file) as (runtime, _, reload):
        parts = runtime.parts
        file.unlink()
        result = await reload()
        assert not result.ok
        assert runtime.parts is parts


async def test_M18_a_bundle_that_changes_is_taken_up_by_the_next_handshake(file: Path) -> None:
    async with at_work(file) as (runtime, listeners, reloader):
        other = Authority("cluster.local")
        contexts = listeners["edge"].contexts
        watch = asyncio.create_task(reloader.watch())
        other.write(file.parent, "ca")
        runtime.parts.sources.trust.reload()  # its own poll, at once
        await until(lambda: listeners["edge"].contexts is not contexts)
        fresh = listeners["edge"].contexts
        assert fresh is not None
        assert fresh.base.get_ca_certs(binary_form=True) == [other.der]
        watch.cancel()


async def test_M18_a_reload_takes_a_changed_bundle_up_at_once(file: Path) -> None:
    async with at_work(file) as (_, listeners, reload):
        other = Authority("cluster.local")
        other.write(file.parent, "ca")
        assert (await reload()).ok
        contexts = listeners["edge"].contexts
        assert contexts is not None
        assert contexts.base.get_ca_certs(binary_form=True) == [other.der]


async def test_M18_a_half_written_certificate_keeps_the_last_good_one(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(file) as (_, listeners, reloader):
        contexts = listeners["edge"].contexts
        watch = asyncio.create_task(reloader.watch())
        (file.parent / "edge.pem").write_text("half")
        await until(lambda: "the last good one stays in force" in caplog.text)
        assert listeners["edge"].contexts is contexts
        ROOT.issue(dns=["localhost"]).write(file.parent, "edge")
        await until(lambda: listeners["edge"].contexts is not contexts)
        watch.cancel()


async def test_reloads_run_one_after_the_other(file: Path) -> None:
    async with at_work(file) as (runtime, _, reload):
        results = await asyncio.gather(*[reload() for _ in range(5)])
        assert [result.ok for result in results] == [True] * 5
        assert runtime.metrics.config_reloads.labels("success").value == 5


def test_what_may_change_is_not_fixed(file: Path) -> None:
    before: Config = load(file)
    change(file, "headers: 10", "headers: 20")
    change(file, "body: ok", "body: other")
    assert fixed(before, load(file)) == []


async def test_a_file_that_changes_is_taken_over_without_a_signal_once_it_rests(file: Path) -> None:
    async with at_work(file) as (runtime, listeners, reload):
        watching = asyncio.create_task(reload.watch())
        reloads = runtime.metrics.config_reloads
        await until(lambda: reload._file is not None)
        text = file.read_text().replace("headers: 10", "headers: 20")
        with file.open("w") as slowly:
            slowly.write(text[: len(text) // 2])
            slowly.flush()
            await asyncio.sleep(0.02)
            slowly.write(text[len(text) // 2 :])
        await until(lambda: listeners["edge"].limits.headers == 20)
        assert reloads.labels("success").value == 1
        change(file, "headers: 20", "haeders: 20")
        await until(lambda: reloads.labels("failure").value == 1)
        assert listeners["edge"].limits.headers == 20
        change(file, "haeders: 20", "headers: 30")
        assert (await reload()).ok  # what a signal took is no change any more
        count = reloads.labels("success").value
        runtime.watch.ring()
        await until(lambda: listeners["edge"].limits.headers == 30)
        await asyncio.sleep(0.25)
        assert reloads.labels("success").value == count
        watching.cancel()
        await asyncio.wait([watching])
