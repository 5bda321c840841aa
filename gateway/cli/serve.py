"""`gateway serve`: runs the gateway. A changed file is taken over, SIGTERM drains, SIGUSR2 replaces the workers.

What fails at the start is one line that says what to do, and exit code 2.
"""

import argparse
import shutil
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import output
from gateway.cli.output import CannotTell

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from gateway.admin import AdminSettings, Local
    from gateway.admin import Worker as AskedWorker
    from gateway.config.schema import Address, Config
    from gateway.control.supervisor import Post
    from gateway.control.worker import Side, Worker, WorkerSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    parser.add_argument("--workers", type=int, metavar="N", help="processes that serve (overrides `workers`)")
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="[NAME=]HOST:PORT",
        help="address of a listener, the first one without NAME (overrides `listeners.NAME.address`); repeatable",
    )
    parser.add_argument("--admin", metavar="ADDRESS", help="HOST:PORT or unix:///PATH (overrides `admin.address`)")
    parser.add_argument("--driver", choices=["lane", "asgi"], default="lane", help=argparse.SUPPRESS)  # to measure with


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; returns the exit code. Raises CannotTell, ConfigInvalid, ConfigUnreadable."""
    from gateway.config.load import load
    from gateway.control.runtime import Unusable
    from gateway.control.worker import WorkerSettings

    def load_again() -> "Config":
        return override(load(Path(args.config)), args)

    config = load_again()
    output.print_problems((), config.warnings)
    settings = WorkerSettings(load_again, driver=args.driver)
    try:
        code = _one(config, settings) if config.workers == 1 else _several(config, settings)
    except OSError as error:
        file = f"{error.filename}: " if error.filename is not None else ""
        raise CannotTell(f"{file}{error.strerror or error}") from error
    except Unusable as error:
        raise CannotTell(str(error)) from error
    if args.json and code == 0:
        output.print_json({"ok": True})
    return code


def override(config: "Config", args: argparse.Namespace) -> "Config":
    """The config with what the command line says. Raises CannotTell for what the file could not say either."""
    from gateway.config.schema import Admin

    listeners = dict(config.listeners)
    for text in args.listen:
        name, equals, where = text.rpartition("=")
        name = name if equals else next(iter(listeners))
        if name not in listeners:
            raise CannotTell(f"--listen {text}: there is no listener {name!r}: one of {', '.join(listeners)}")
        address = _address(where, "--listen")
        if listeners[name].tls is None and listeners[name].redirect is None and not address.loopback:
            raise CannotTell(f"--listen {text}: without tls only loopback: listener {name!r} has none")
        listeners[name] = listeners[name].replace(address=address)
    values: dict[str, object] = {"listeners": listeners}
    if args.workers is not None:
        if not 1 <= args.workers <= 256:
            raise CannotTell("--workers: write a number from 1 to 256")
        values["workers"] = args.workers
    if args.admin is not None:
        address = _address(args.admin, "--admin")
        if any(listener.address == address and address.port for listener in listeners.values()):
            raise CannotTell(f"--admin {args.admin}: a listener has this address")
        admin = config.admin or Admin(address=address)
        values["admin"] = admin.replace(address=address)
    return config.replace(**values)


def _address(text: str, option: str) -> "Address":
    from gateway.config.schema import units

    try:
        return units.admin_address(text) if option == "--admin" else units.address(text)
    except ValueError as error:
        raise CannotTell(f"{option}: {error}") from None


def _one(config: "Config", settings: "WorkerSettings") -> int:
    """Serve in this process."""
    from dataclasses import replace

    from gateway.control import logs
    from gateway.control.worker import open_sockets, serve

    sockets = open_sockets(config)
    admin = _open_admin(config) if config.admin is not None else None
    logs.configure(config.log.level, config.log.format)
    if admin is not None:
        bound, guard, context = admin

        def make_side(worker: "Worker") -> "Side":
            from gateway.admin import admin_app

            return _side(admin_app(guard, _source(worker)), bound, context)

        settings = replace(settings, make_side=make_side)
    return serve(config, sockets, settings)


def _several(config: "Config", settings: "WorkerSettings") -> int:
    """Keep workers running, and a process that answers for them on the admin address."""
    from gateway.control import logs
    from gateway.control.supervisor import Child, Supervisor

    several = _Several(config, settings)
    logs.configure(config.log.level, config.log.format)
    children = [Child(f"worker {number}", several.worker(number)) for number in range(config.workers)]
    if several.admin is not None:
        children.append(Child("the admin process", several.answer, serves=False))
    try:
        return Supervisor(children, several.close, several.take_newest).run()
    finally:
        shutil.rmtree(several.directory, ignore_errors=True)


class _Several:
    """What the workers share, in the supervisor."""

    def __init__(self, config: "Config", settings: "WorkerSettings") -> None:
        from gateway.control.supervisor import WorkerSockets

        self._at_work = config
        self._settings = settings
        self._sockets = WorkerSockets(config, config.workers)
        self.admin = _open_admin(config) if config.admin is not None else None
        self.directory = Path(tempfile.mkdtemp(prefix="gateway-"))  # mode 0700

    def worker(self, number: int) -> "Callable[[Post], int]":
        """What runs a worker, in a process of its own."""
        from dataclasses import replace

        from gateway.control.runtime import Unusable
        from gateway.control.supervisor import UNUSABLE
        from gateway.control.worker import serve

        def start(post: "Post") -> int:
            path = self.directory / f"w{number}-{post.seat}.sock"

            def serving() -> None:
                if self.admin is not None:
                    path.replace(self._socket(number))  # from now on this one is asked
                post.serving()

            stream = number + self._at_work.workers * post.seat
            own = replace(self._settings, number=number, stream=stream, lifeline=post.lifeline)
            own = replace(own, on_serving=serving, on_leaving=post.leaving, on_drain=post.draining)
            if self.admin is not None:
                self.admin[0].close()
                own = replace(own, make_side=lambda made: _worker_side(made, path))
            try:
                return serve(self._at_work, self._sockets.take(number), own)
            except (Unusable, OSError) as error:
                output.cannot_tell(CannotTell(str(error)), as_json=False)
                return UNUSABLE

        return start

    def answer(self, post: "Post") -> int:
        """Run the admin process."""
        from gateway.admin import Worker

        assert self.admin is not None  # noqa: S101 - for the type checker
        self._sockets.take(-1)
        known = [Worker(number, self._socket(number)) for number in range(self._at_work.workers)]
        return _answer_for(known, self.admin, post)

    def take_newest(self) -> None:
        """A worker that is started later begins with the newest good file."""
        from gateway.config.problem import ConfigInvalid, ConfigUnreadable
        from gateway.control.reload import fixed

        try:
            fresh = self._settings.load()
        except (ConfigInvalid, ConfigUnreadable, CannotTell):
            return
        if not fixed(self._at_work, fresh):
            self._at_work = fresh

    def close(self) -> None:
        """Give up the parent's copies of the sockets."""
        self._sockets.close()
        if self.admin is not None:
            self.admin[0].close()

    def _socket(self, number: int) -> Path:
        """Where a worker is asked what the admin address wants to know."""
        return self.directory / f"w{number}.sock"


def _open_admin(config: "Config") -> "tuple[socket.socket, AdminSettings, ssl.SSLContext | None]":
    from gateway.admin import bind_admin, settings_for
    from gateway.control.build.listeners import tls_settings
    from gateway.control.runtime import Unusable
    from gateway.server.tls import Contexts, TlsUnusable

    admin = config.admin
    assert admin is not None  # noqa: S101 - for the type checker
    address = admin.address
    host = "127.0.0.1" if address.host == "localhost" else address.host
    bound = bind_admin(address.unix or host, None if address.unix else address.port)
    token = admin.token.get_secret_value() if admin.token is not None else None
    guard = settings_for(address.host, token, config.state_dir, secure=admin.tls is not None)
    try:
        context = Contexts(tls_settings(admin.tls)).base if admin.tls is not None else None
    except TlsUnusable as error:
        raise Unusable(str(error)) from error
    return bound, guard, context


def _source(worker: "Worker") -> "Local":
    """What the admin address asks, answered by this worker."""
    from gateway.admin import Check, Local, Reloaded

    async def reload() -> Reloaded:
        result = await worker.reload()
        return Reloaded(result.ok, result.digest, result.errors)

    return Local(
        metrics=worker.runtime.metrics,
        checks=[lambda: [Check(c.name, c.ok, c.needed, c.detail) for c in worker.conditions()]],
        sections=worker.sections(),
        reload=reload,
        drain=worker.drain,
        record=lambda call: worker.record(call.action, call.status, call.client),
    )


def _side(app: "ASGIApp", bound: "socket.socket", context: ssl.SSLContext | None = None) -> "Side":
    from gateway.admin import AdminServer

    return AdminServer(app, bound, context)


def _worker_side(worker: "Worker", path: Path) -> "Side":
    from gateway.admin import bind_admin, worker_app

    return _side(worker_app(_source(worker)), bind_admin(str(path), None))


def _answer_for(
    known: "Sequence[AskedWorker]", admin: "tuple[socket.socket, AdminSettings, ssl.SSLContext | None]", post: "Post"
) -> int:
    """The admin process: asks the workers over their sockets. Runs until it is told to stop."""
    import asyncio
    import signal

    from gateway.admin import Workers, admin_app

    bound, guard, context = admin

    async def serve() -> None:
        side = _side(admin_app(guard, Workers(lambda: known, post.reloaded)), bound, context)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the workers' matter
        loop.add_reader(post.lifeline, stop.set)
        await side.start()
        await stop.wait()
        loop.remove_reader(post.lifeline)
        await side.stop()

    asyncio.run(serve())
    return 0
