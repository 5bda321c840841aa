"""What the peers are told; whether they do it, each run of the benchmark proves before it measures."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.config.load import load
from loadtest.job import ROUTES, Place, Scenario, Variant
from loadtest.peer import Peer
from loadtest.peers import PEERS
from loadtest.peers.gateway import Gateway
from loadtest.world import certificates_of


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    certificates_of(directory)
    return directory


@pytest.mark.parametrize("variant", Gateway().variants, ids=lambda v: f"{v.scenario} {v.name}".strip())
def test_the_gateways_file_is_valid(variant: Variant, certificates: Path, tmp_path: Path) -> None:
    Gateway().command(variant, Place(8443, tmp_path, certificates, 9443, tmp_path / "redis.sock"))
    config = load(tmp_path / "routes.yaml")
    assert len(config.routes) == ROUTES
    assert all(route.public is (variant.scenario is Scenario.FORWARD) for route in config.routes)
    assert config.store.get_secret_value().startswith("redis+unix:///" if variant.name else "memory://")


CHECKS = {
    "Envoy": lambda command: [command[0], "--mode", "validate", *command[1:]],
    "HAProxy": lambda command: [command[0], "-c", *command[2:]],
    "nginx": lambda command: [*command, "-t"],
}


@pytest.mark.parametrize(
    ("peer", "variant"),
    [(peer, variant) for peer in PEERS if peer.name in CHECKS for variant in peer.variants],
    ids=lambda value: value.name or "usual" if isinstance(value, Variant) else value.name,
)
def test_a_peer_finds_its_own_file_valid(peer: Peer, variant: Variant, certificates: Path, tmp_path: Path) -> None:
    if missing := peer.missing():
        pytest.skip(f"not installed: {missing}")
    command = peer.command(variant, Place(8443, tmp_path, certificates, 9443))
    checked = subprocess.run(CHECKS[peer.name](command), capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


def test_envoy_has_a_route_and_a_policy_for_each_of_ours(certificates: Path, tmp_path: Path) -> None:
    envoy = next(peer for peer in PEERS if peer.name == "Envoy")
    envoy.command(Variant(Scenario.FULL), Place(8443, tmp_path, certificates, 9443))
    manager = json.loads((tmp_path / "envoy.json").read_text())["static_resources"]["listeners"][0]["filter_chains"][0]
    http = manager["filters"][0]["typed_config"]
    assert len(http["route_config"]["virtual_hosts"][0]["routes"]) == ROUTES
    assert len(http["http_filters"][1]["typed_config"]["rules"]["policies"]) == ROUTES
