"""What the peers are told; whether they do it, each run of the benchmark proves before it measures."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.load import load
from loadtest.cases import CASES
from loadtest.job import ALGORITHMS, ROUTES, Place, Scenario, Setting, Variant
from loadtest.peer import Peer
from loadtest.peers import PEERS
from loadtest.peers.gateway import FEATURES, REDIS, Gateway
from loadtest.world import certificates_of, issuer_of


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    certificates_of(directory)
    for algorithm in ALGORITHMS:
        issuer_of(directory, algorithm)
    return directory


def place(tmp_path: Path, certificates: Path) -> Place:
    return Place(8443, tmp_path, certificates, 9443, tmp_path / "redis.sock", 9080)


def variants(name: str) -> list[Variant]:
    """Every way in which some scenario has it do a job, the many routes aside."""
    asked = [entry.variant for case in CASES for entry in case.entries if entry.peer == name]
    return [variant for variant in dict.fromkeys(asked) if variant.setting.routes <= ROUTES]


def named(variant: Variant) -> str:
    setting = variant.setting
    return f"{variant.scenario} {variant.name} {setting.routes} {setting.algorithm} {setting.clients} {setting.workers}"


@pytest.mark.parametrize("variant", variants("gateway"), ids=named)
def test_the_gateways_file_is_valid(variant: Variant, certificates: Path, tmp_path: Path) -> None:
    Gateway().command(variant, place(tmp_path, certificates))
    config = load(tmp_path / "routes.yaml")
    assert len(config.routes) == variant.setting.routes
    assert all(route.public is (variant.scenario is Scenario.FORWARD) for route in config.routes)
    assert config.store.get_secret_value().startswith("redis+unix:///" if variant.name == REDIS else "memory://")
    assert config.listeners["edge"].tls is not None
    assert config.listeners["edge"].tls.client_certificate == ("required" if variant.setting.clients else "none")


def test_every_feature_changes_the_file_in_one_thing(certificates: Path, tmp_path: Path) -> None:
    written = set()
    for name in ("", *FEATURES):
        Gateway().command(Variant(Scenario.FULL, name), place(tmp_path, certificates))
        written.add((tmp_path / "routes.yaml").read_text())
    assert len(written) == len(FEATURES) + 1


CHECKS = {
    "Envoy": lambda command: [command[0], "--mode", "validate", *command[1:]],
    "HAProxy": lambda command: [command[0], "-c", *command[2:]],
    "nginx": lambda command: [*command, "-t"],
    "Caddy": lambda command: [*command[:4], "validate", *command[5:]],
}
TLS = Setting(algorithm="ES256", clients=True)


@pytest.mark.parametrize(
    ("peer", "variant"),
    [(peer, variant) for peer in PEERS if peer.name in CHECKS for variant in peer.variants]
    + [(peer, replace(peer.variants[0], setting=TLS)) for peer in PEERS if peer.name in CHECKS],
    ids=lambda value: named(value) if isinstance(value, Variant) else value.name,
)
def test_a_peer_finds_its_own_file_valid(peer: Peer, variant: Variant, certificates: Path, tmp_path: Path) -> None:
    if missing := peer.missing():
        pytest.skip(f"not installed: {missing}")
    command = peer.command(variant, place(tmp_path, certificates))
    checked = subprocess.run(CHECKS[peer.name](command), capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


def test_envoy_has_a_route_and_a_policy_for_each_of_ours(certificates: Path, tmp_path: Path) -> None:
    envoy = next(peer for peer in PEERS if peer.name == "Envoy")
    envoy.command(Variant(Scenario.FULL), place(tmp_path, certificates))
    manager = json.loads((tmp_path / "envoy.json").read_text())["static_resources"]["listeners"][0]["filter_chains"][0]
    http = manager["filters"][0]["typed_config"]
    assert len(http["route_config"]["virtual_hosts"][0]["routes"]) == ROUTES
    assert len(http["http_filters"][1]["typed_config"]["rules"]["policies"]) == ROUTES
