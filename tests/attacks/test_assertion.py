"""X-Gateway-Assertion cannot be forged, borrowed or moved to another backend (M26, H13, H14; contract section 11)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest

from gateway.config.load import load
from gateway.control.build.forward import build_forward
from gateway.control.build.upstreams import build_upstreams
from gateway.control.feeds.assertion import AssertionKeys, AssertionSettings
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.kernel.es256 import made_of
from gateway.model.principal import User, Workload
from gateway.stages.forward.stage import Forward
from gateway.testing.ca import Authority
from gateway.testing.keys import new_key, private_pem, write_private
from gateway.testing.upstream import Call, Upstream
from gateway.testing.wait import until
from tests.assertions import read
from tests.backends import Watch
from tests.exchange import WORKLOAD, Recorder, context, head, permit, user

FILE = """\
version: 1
listeners: {{edge: {{address: "127.0.0.1:0", tls: {{certificate: edge.pem, key: edge.key}}}}}}
assertion: {{issuer: "https://gw.example.com", key: assertion.key}}
upstreams:
  stock: {{endpoints: ['{stock}']}}
  copies: {{endpoints: ['{copies}']}}
routes:
  - {{name: all, match: {{paths: ["/all"]}}, upstream: stock, mirror: {{upstream: copies}}}}
  - {{name: open, match: {{paths: ["/open"]}}, upstream: stock, public: true}}
  - {{name: off, match: {{paths: ["/off"]}}, upstream: stock, forward: {{assertion: false}}}}
  - name: told
    match: {{paths: ["/told"]}}
    upstream: [{{upstream: stock, weight: 1}}, {{upstream: copies, weight: 0}}]
    forward: {{assertion: {{claims: [groups]}}}}
"""
ALL, OPEN, OFF, TOLD = range(4)
FORGED = "eyJhbGciOiJub25lIn0.e30."
HEADER = "x-gateway-assertion"


class Scene:
    """A forward stage, its keys, and two backends."""

    def __init__(self, stage: Forward, keys: AssertionKeys, stock: Upstream, copies: Upstream) -> None:
        self.stage = stage
        self.keys = keys
        self.stock = stock
        self.copies = copies

    async def send(
        self, index: int, *fields: tuple[str, str], user: User | None = None, workload: Workload | None = None
    ) -> Call:
        request = head(headers=fields)
        exchange = Recorder(request)
        await self.stage(permit(context(request), index=index, user=user, workload=workload), exchange, [])
        assert exchange.status == 200
        return self.stock.calls[-1]

    def read(self, call: Call, audience: str = "stock") -> dict[str, object]:
        token = call.value(HEADER)
        assert token is not None
        return read(token, self.keys.document, audience, now=1.0)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    Authority("cluster.local").issue(dns=["localhost"]).write(folder, "edge")
    write_private(folder / "assertion.key", private_pem(new_key()))
    async with Upstream() as stock, Upstream() as copies:
        (folder / "routes.yaml").write_text(FILE.format(stock=stock.url, copies=copies.url))
        config = load(folder / "routes.yaml")
        keys = AssertionKeys(AssertionSettings(folder / "assertion.key", ()), health=FileHealth(Metrics()))
        upstreams = build_upstreams(config, None, Metrics())
        try:
            yield Scene(build_forward(config, upstreams.clusters, Watch(), None, keys), keys, stock, copies)
        finally:
            upstreams.abort()


@pytest.mark.parametrize("index", [ALL, OPEN, OFF, TOLD])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x-gateway-assertion", id="M26-assertion"),
        pytest.param("x_gateway_assertion", id="M26-assertion-underscores"),
        pytest.param("x-gateway_assertion", id="M26-assertion-one-underscore"),
        pytest.param("x.gateway.assertion", id="M26-assertion-dots"),
        pytest.param("x~gateway~assertion", id="M26-assertion-folded"),
        pytest.param("x-gateway-assertion-2", id="M26-assertion-neighbour"),
    ],
)
async def test_what_a_client_sends_in_its_place_is_removed(tmp_path: Path, name: str, index: int) -> None:
    async with scene(tmp_path) as held:
        call = await held.send(index, (name, FORGED), ("x-plain", "kept"), (name, FORGED), user=user())
        assert (FORGED.encode() in call.head, call.value("x-plain")) == (False, "kept")
        assert (call.value(HEADER) is not None) is (index in (ALL, TOLD))


async def test_H13_a_client_cannot_have_ours_removed(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        call = await held.send(ALL, ("connection", "close, X-Gateway-Assertion"), user=user())
        assert held.read(call)["sub"] == "alice"


async def test_M26_one_stands_there_and_says_who_was_proved(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        call = await held.send(TOLD, user=user(groups=["a"], email="a@example.com"), workload=WORKLOAD)
        assert call.head.lower().count(b"x-gateway-assertion:") == 1
        claims = held.read(call)
        assert (claims["iss"], claims["sub"], claims["workload"]) == ("https://gw.example.com", "alice", WORKLOAD.id)
        assert (claims["groups"], "email" in claims) == (["a"], False)


async def test_a_copy_is_asserted_for_the_backend_that_gets_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        original = await held.send(ALL, user=user())
        await until(lambda: held.copies.calls, what="the copy")
        copy = held.copies.calls[0]
        assert (held.read(original)["aud"], held.read(copy, "copies")["aud"]) == ("stock", "copies")
        with pytest.raises(jwt.InvalidAudienceError):
            held.read(copy)


@pytest.mark.parametrize("index", [OPEN, OFF])
async def test_a_public_route_and_one_that_says_so_tell_nothing(tmp_path: Path, index: int) -> None:
    async with scene(tmp_path) as held:
        assert (await held.send(index, user=user(), workload=WORKLOAD)).value(HEADER) is None


async def test_one_callers_assertion_never_serves_another(tmp_path: Path) -> None:
    """Also where the memory of a caller that is gone is used for the next one."""
    async with scene(tmp_path) as held:
        for number in range(200):
            one = User("https://issuer.example", "corp", f"user-{number}", {"sub": f"user-{number}"}, 2e9)
            assert held.read(await held.send(ALL, user=one))["sub"] == f"user-{number}"
            del one


async def test_another_key_s_signature_is_nobodys(tmp_path: Path) -> None:
    async with scene(tmp_path) as held:
        call = await held.send(ALL, user=user())
        token = call.value(HEADER)
        assert token is not None
        with pytest.raises(ValueError, match="not enough values"):
            read(token, b'{"keys": []}', "stock", now=1.0)
        other = made_of(b"3" * 32).jwk | {"kid": held.keys.current.kid}
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, jwt.PyJWK(other), algorithms=["ES256"], audience="stock")
