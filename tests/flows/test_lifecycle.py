"""The life of a gateway as an operator lives it: real processes, real signals, real load."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.testing.ca import Authority
from gateway.testing.process import Process, free_ports, running
from gateway.testing.tls import client_context
from gateway.testing.wait import BOUND, until, wait_for
from tests.serving import connected, get

ROOT = Authority("cluster.local")
FILE = """\
version: 1
log: {{level: info, format: text}}
listeners:
  edge: {{address: "127.0.0.1:{edge}", tls: {{certificate: edge.pem, key: edge.key}}}}
  plain: {{address: "127.0.0.1:{plain}"}}
admin: {{address: "127.0.0.1:{admin}"}}
audit: {{directory: audit}}
routes:
  - name: health
    match: {{paths: [/health]}}
    public: true
    respond: {{status: 200, body: {body}}}
"""


@dataclass
class Site:
    """A folder with a config, and its ports."""

    directory: Path
    edge: int
    plain: int
    admin: int

    @property
    def file(self) -> Path:
        return self.directory / "routes.yaml"

    def write(self, body: str = "ok", text: str = FILE) -> None:
        self.file.write_text(text.format(edge=self.edge, plain=self.plain, admin=self.admin, body=body))

    @contextlib.contextmanager
    def serve(self, *arguments: str, log: str = "log") -> Generator[Process]:
        command = [sys.executable, "-m", "gateway", "serve", "-c", "routes.yaml", *arguments]
        env = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with running(command, self.directory / log, cwd=self.directory, env=env) as process:
            yield process

    @contextlib.contextmanager
    def ready(self, *arguments: str) -> Generator[Process]:
        with self.serve(*arguments) as process:
            process.wait_for(self.is_ready, what="/readyz")
            yield process

    def admin_get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def is_ready(self) -> bool:
        try:
            return "ready" in self.admin_get("/readyz")
        except OSError:
            return False

    def metric(self, line: str) -> float:
        found = [row for row in self.admin_get("/metrics").splitlines() if row.startswith(line)]
        return sum(float(row.rpartition(" ")[2]) for row in found)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    edge, plain, admin = free_ports(3)
    ROOT.issue(dns=["localhost"]).write(tmp_path, "edge")
    made = Site(tmp_path, edge, plain, admin)
    made.write()
    return made


@dataclass
class Load:
    """Clients that ask without a pause, each on connections of its own."""

    port: int
    tls: ssl.SSLContext | None = None
    answered: int = 0
    closing: int = 0  # answers that said Connection: close
    refused: int = 0  # connections that nobody took
    lost: list[str] = field(default_factory=list)
    bodies: set[bytes] = field(default_factory=set)
    stop: bool = False

    async def client(self, requests: int) -> None:
        """So many requests a connection, then a new one."""
        while not self.stop:
            try:
                async with connected(self.port, self.tls) as client:
                    for _ in range(requests):
                        await client.send(get("/health"))
                        answer = await client.answer()
                        self.answered += 1
                        self.bodies.add(answer.body)
                        assert answer.status == 200
                        if answer.header(b"connection") == b"close":
                            self.closing += 1
                            break
            except ConnectionRefusedError:
                self.refused += 1
                return
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
                return

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Load"]:
        tasks = [asyncio.create_task(self.client(requests)) for requests in (1, 5, 1000, 1000)]
        await until(lambda: self.answered > 20)
        try:
            yield self
        finally:
            self.stop = True
            await asyncio.gather(*tasks)

    async def more(self, count: int = 20) -> None:
        """Wait for so many more answers."""
        before = self.answered
        await until(lambda: self.answered >= before + count or self.lost, what="more answers")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_request_is_lost_over_sigterm(site: Site, workers: str) -> None:
    with site.ready("--workers", workers) as process:
        load, secure = Load(site.plain), Load(site.edge, client_context([ROOT]))
        async with load.running(), secure.running():
            process.signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0
            await until(lambda: load.refused + len(load.lost) == 4)  # every client noticed
        assert (load.lost, secure.lost) == ([], [])
        assert load.closing  # those with open connections were told, not cut off
        assert "Traceback" not in process.output


async def test_what_is_in_flight_is_finished_and_new_connections_are_not_taken(site: Site) -> None:
    with site.ready() as process:
        async with connected(site.plain) as client:
            await client.send(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
            async with connected(site.plain) as idle:
                await idle.send(get("/health"))
                assert (await idle.answer()).status == 200
                process.signal(signal.SIGTERM)
                await until(lambda: not site.is_ready())
                await idle.send(get("/health"))  # was on its way when the drain began
                answer = await idle.answer()
                assert (answer.status, answer.header(b"connection")) == (200, b"close")
            await client.send(b"llo")
            assert (await client.answer()).status == 200
        assert await asyncio.to_thread(process.wait, 10) == 0
        with pytest.raises(ConnectionRefusedError):
            async with connected(site.plain):
                pass


async def test_no_request_is_lost_over_sighup_and_the_new_file_takes_over(site: Site) -> None:
    with site.ready() as process:
        load, secure = Load(site.plain), Load(site.edge, client_context([ROOT]))
        async with load.running(), secure.running():
            for turn in range(3):
                site.write(f"turn{turn}")
                process.signal(signal.SIGHUP)
                await until(lambda turn=turn: f"turn{turn}".encode() in load.bodies)  # type: ignore[misc]
            await secure.more()
        assert (load.lost, secure.lost) == ([], [])
        assert secure.bodies >= {b"turn2"}
        # where the machine is slow the file's own watch comes before the signal: it is read again all the same
        assert 3 <= site.metric('gateway_config_reloads_total{result="success"}') <= 6
        assert site.metric('gateway_config_reloads_total{result="failure"}') == 0


async def test_a_bad_file_changes_nothing_and_the_log_says_why(site: Site) -> None:
    with site.ready() as process:
        site.file.write_text(site.file.read_text().replace("public: true", "publik: true"))
        async with Load(site.plain).running() as load:
            process.signal(signal.SIGHUP)
            await until(lambda: "reload refused" in process.output)
            await load.more()
        assert load.lost == []
        line = site.file.read_text().splitlines().index("    publik: true") + 1
        assert f"routes.yaml:{line}:5: error: " in process.output
        assert "did you mean" in process.output
        assert site.metric('gateway_config_reloads_total{result="failure"}') in (1, 2)  # 2: its watch came first
        assert site.is_ready()
        before = process.output
        site.write("mended")
        process.signal(signal.SIGHUP)
        await until(lambda: "is at work" in process.output[len(before) :])
        async with Load(site.plain).running() as load:
            assert load.bodies == {b"mended"}
        assert "Traceback" not in process.output


async def test_a_changed_address_needs_a_restart_and_says_so(site: Site) -> None:
    with site.ready() as process:
        site.file.write_text(site.file.read_text().replace(str(site.plain), str(free_ports(1)[0])))
        process.signal(signal.SIGHUP)
        await until(lambda: "reload refused" in process.output)
        assert "listeners.plain: its address and kind change only with a restart" in process.output
        assert site.is_ready()


async def test_a_certificate_that_changes_is_served_without_a_signal_and_a_broken_one_is_not(site: Site) -> None:
    async def presented() -> bytes:
        async with connected(site.edge, client_context([ROOT])) as client:
            found: bytes = client.writer.get_extra_info("ssl_object").getpeercert(True)
            return found

    with site.ready() as process:
        first = await presented()
        (site.directory / "edge.pem").write_text("half a certi")
        await until(lambda: "the last good one stays in force" in process.output)
        assert await presented() == first
        fresh = ROOT.issue(dns=["localhost"])
        fresh.write(site.directory, "edge")
        await until(lambda: "read again and at work" in process.output)
        assert await presented() == fresh.der


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_one_clear_line(site: Site, workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with site.ready("--workers", workers):
        other = f"127.0.0.1:{free_ports(1)[0]}"
        file = ["serve", "-c", str(site.file), "--workers", workers]
        assert main([*file, "--admin", other]) == 2
        in_use = "the port is in use by another process"
        assert _errors(capsys) == [f"error: cannot listen on 127.0.0.1:{site.edge}: {in_use}"]
        assert main([*file, "--listen", f"edge={other}", "--listen", "plain=127.0.0.1:0"]) == 2
        (line,) = _errors(capsys)
        assert line.startswith(f"error: cannot listen on the admin address 127.0.0.1:{site.admin}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_audit_directory_that_cannot_be_written_is_one_clear_line(site: Site, workers: str) -> None:
    (site.directory / "audit").write_text("a file, no directory")
    with site.serve("--workers", workers) as process:
        assert process.wait(20) == 2
        lines = [line for line in process.output.splitlines() if "warning" not in line]
        assert lines
        assert all(line.startswith("error: ") and "audit" in line for line in lines), lines


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--workers", "0"),
        ("--listen", "nobody=127.0.0.1:0"),
        ("--listen", "plain=0.0.0.0:0"),
        ("--listen", "somewhere"),
        ("--admin", "127.0.0.1:{edge}"),
    ],
)
def test_an_unusable_override_is_one_clear_line(
    site: Site, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "-c", str(site.file), option, value.format(edge=site.edge)]) == 2
    (line,) = _errors(capsys)
    assert line.startswith(f"error: {option}")


def test_a_killed_worker_is_replaced_and_the_others_serve_on(site: Site) -> None:
    with site.ready("--workers", "2") as process:
        before = _workers(site)
        assert len(before) == 2
        os.kill(next(iter(before)), signal.SIGKILL)
        wait_for(lambda: "worker" in process.output and "starting it again" in process.output, what="the log")
        wait_for(lambda: len(_workers(site)) == 2 and _workers(site) != before, what="its successor")
        assert len(_workers(site) & before) == 1
        asyncio.run(_ask(site, 20))
        process.signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert not list(site.directory.glob("*.sock"))


async def test_no_request_is_lost_over_a_rolling_restart_of_two_workers(site: Site) -> None:
    with site.ready("--workers", "2") as process:
        async with Load(site.plain).running() as load:
            before = _workers(site)
            assert len(before) == 2
            key = (site.directory / "edge.key").rename(site.directory / "gone.key")
            process.signal(signal.SIGUSR2)
            await until(lambda: "workers are replaced no further" in process.output, what="a failed start")
            assert _workers(site) == before
            key.rename(site.directory / "edge.key")
            site.write("newer")
            assert await asyncio.to_thread(main, ["reload", "-c", str(site.file)]) == 0
            process.signal(signal.SIGUSR2)
            await until(lambda: len(_workers(site) - before) == 2, what="two successors")
            await until(lambda: not _workers(site) & before, what="the end of both")
            assert site.is_ready()  # a successor is asked from the moment on in which it serves
            told, other = sorted(_workers(site))
            os.kill(told, signal.SIGTERM)  # one alone
            await until(lambda: len(_workers(site) - {told, other}) == 1, what="its successor")
            await until(lambda: told not in _workers(site), what="its end")
            load.bodies.clear()
            await load.more()
            assert load.bodies == {b"newer"}  # those who came later began with what `gateway reload` had put to work
            await until(site.is_ready, what="/readyz")
        assert (load.lost, load.refused) == ([], 0)
        assert load.closing
        assert "Traceback" not in process.output
        assert process.stop() == 0
    assert main(["audit", "verify", str(site.directory / "audit")]) == 0


@contextlib.contextmanager
def backend(site: Site) -> Generator[socket.socket]:
    """A backend of the site's one route, which answers when the test does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(BOUND)
        text = FILE.replace("respond: {{status: 200, body: {body}}}", "upstream: stock")
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        site.write(text=text.replace("routes:", f"upstreams: {{{{stock: {{{{endpoints: ['{address}']}}}}}}}}\nroutes:"))
        yield listening


async def test_over_a_drain_a_worker_that_ends_first_does_not_cut_the_others_short(site: Site) -> None:
    with backend(site) as stock, site.ready("--workers", "2") as process:
        async with connected(site.plain) as client:
            await client.send(get("/health"))
            asked, _ = await asyncio.to_thread(stock.accept)
            with asked:
                assert await asyncio.to_thread(main, ["drain", "-c", str(site.file)]) == 0
                await until(lambda: len(_workers(site)) == 1, what="the end of the idle worker")
                asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                assert (await client.answer()).status == 200
        assert await asyncio.to_thread(process.wait, 15) == 0


@pytest.mark.parametrize("how", ["gateway drain", "SIGTERM"])
async def test_over_a_drain_new_connections_are_refused_not_kept_waiting(site: Site, how: str) -> None:
    with backend(site), contextlib.ExitStack() as held, site.ready("--workers", "2") as process:
        for _ in range(24):  # each worker has some of them, but for once in eight million runs
            client = held.enter_context(socket.create_connection(("127.0.0.1", site.plain)))
            client.sendall(get("/health"))
        await until(lambda: site.metric("gateway_requests_in_flight") == 24, what="the requests to be taken")
        if how == "SIGTERM":
            process.signal(signal.SIGTERM)
        else:
            assert await asyncio.to_thread(main, ["drain", "-c", str(site.file)]) == 0

        def refused() -> bool:
            with socket.socket() as late:
                late.settimeout(5)  # one whose first SYN was dropped is refused after a second
                return late.connect_ex(("127.0.0.1", site.plain)) == errno.ECONNREFUSED

        await until(refused, what="the sockets to be closed")
        assert len(_workers(site)) == 2
        process.signal(signal.SIGKILL)
        process.wait()


def test_workers_end_with_their_supervisor(site: Site) -> None:
    with site.ready("--workers", "2") as process:
        workers = _workers(site)
        process.signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not any(_alive(pid) for pid in workers), what="the end of the workers")


def test_ctrl_c_drains_and_says_130(site: Site) -> None:
    with site.ready() as process:
        process.signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "Traceback" not in process.output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_however_it_ends_json_is_one_document(site: Site, workers: str, number: signal.Signals, code: int) -> None:
    with site.ready("--workers", workers, "--json") as process:
        process.signal(number)
        assert process.wait(15) == code
        _, *documents = process.output.split("\n{\n")
    interrupted = {"message": "interrupted", "file": None, "line": None, "column": None}
    assert [json.loads("{" + document) for document in documents] == [
        {"ok": True} if not code else {"error": interrupted}
    ]


def _errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]


def _workers(site: Site) -> set[int]:
    """The process ids of the workers: those that hold an audit stream open."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if any(link.readlink().is_relative_to(site.directory / "audit") for link in (entry / "fd").iterdir()):
                    found.add(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


async def _ask(site: Site, count: int) -> None:
    for _ in range(count):
        async with connected(site.plain) as client:
            await client.send(get("/health"))
            assert (await client.answer()).status == 200
