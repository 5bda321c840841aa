"""A real SPIFFE Workload API server on a Unix socket: the official protobuf messages, served by grpcio.

Rule: it answers what a test gives it, at once and again at each change, and nobody who sends no security header.
"""

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe._proto import workload_pb2, workload_pb2_grpc

from gateway.testing.ca import Authority, Issued

OWN = "spiffe://cluster.local/ns/gateway/sa/gateway"


def svid(
    issued: Issued, roots: Sequence[Authority], uri: str = OWN, hint: str = "", key: bytes | None = None
) -> workload_pb2.X509SVID:
    """One SVID as an agent gives it."""
    held = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return workload_pb2.X509SVID(
        spiffe_id=uri,
        x509_svid=b"".join(issued.ders),
        x509_svid_key=held if key is None else key,
        bundle=b"".join(root.der for root in roots),
        hint=hint,
    )


def svids(*messages: workload_pb2.X509SVID) -> bytes:
    return workload_pb2.X509SVIDResponse(svids=messages).SerializeToString()


def bundles(**roots: Sequence[Authority]) -> bytes:
    """Underscores in the names stand for dots."""
    return _bundles({name.replace("_", "."): held for name, held in roots.items()})


def _bundles(roots: Mapping[str, Sequence[Authority]]) -> bytes:
    held = {f"spiffe://{name}": b"".join(root.der for root in some) for name, some in roots.items()}
    return workload_pb2.X509BundlesResponse(bundles=held).SerializeToString()


class Agent:
    """The server. `svids` and `bundles` are serialised answers; None: there is no identity for the caller."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.svids: bytes | None = None
        self.bundles: bytes | None = None
        self.calls = 0
        self.refused = 0
        self._changed = threading.Condition()
        self._number = 0
        self._server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def give(self, *, svids: bytes | None = None, bundles: bytes | None = None) -> None:
        """Answer so from now on."""
        with self._changed:
            self.svids = svids if svids is not None else self.svids
            self.bundles = bundles if bundles is not None else self.bundles
            self._number += 1
            self._changed.notify_all()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        server = self._server = grpc.server(ThreadPoolExecutor(16))
        add = workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server
        add(_Servicer(self), server)  # type: ignore[no-untyped-call] # as it is generated
        assert server.add_insecure_port(self.address)
        server.start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            with self._changed:
                self._number += 1
                self._changed.notify_all()
            server.stop(0).wait()

    @property
    def running(self) -> bool:
        return self._server is not None

    def answers(self, context: grpc.ServicerContext, name: str) -> Iterator[bytes]:
        self.calls += 1
        if ("workload.spiffe.io", "true") not in context.invocation_metadata():
            self.refused += 1
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
        if getattr(self, name) is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        given = None
        while self.running and context.is_active():
            with self._changed:
                answer = getattr(self, name)
                if answer == given:
                    self._changed.wait(0.2)
                    continue
            given = answer
            yield answer


class _Servicer(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def FetchX509SVID(self, request: object, context: grpc.ServicerContext) -> Iterator[workload_pb2.X509SVIDResponse]:
        for answer in self._agent.answers(context, "svids"):
            yield workload_pb2.X509SVIDResponse.FromString(answer)

    def FetchX509Bundles(
        self, request: object, context: grpc.ServicerContext
    ) -> Iterator[workload_pb2.X509BundlesResponse]:
        for answer in self._agent.answers(context, "bundles"):
            yield workload_pb2.X509BundlesResponse.FromString(answer)


@contextlib.contextmanager
def agent(folder: Path) -> Generator[Agent]:
    """Sockets have short paths only: `folder` is short, or a link is made."""
    held = Agent(folder / "agent.sock")
    held.start()
    try:
        yield held
    finally:
        held.stop()
