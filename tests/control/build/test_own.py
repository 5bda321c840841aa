"""The gateway's own addresses: the same for who routes and for who answers."""

from pathlib import Path

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.own import BASE, JWKS, own_paths, own_ways
from gateway.control.feeds.assertion import AssertionKeys, AssertionSettings
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.testing.ca import Authority


def config(folder: Path, more: str = "") -> Config:
    Authority("cluster.local").issue(dns=["localhost"]).write(folder, "edge")
    (folder / "routes.yaml").write_text(
        "version: 1\n"
        "listeners:\n"
        '  edge: {address: "127.0.0.1:0", tls: {certificate: edge.pem, key: edge.key}}\n'
        '  plain: {address: "127.0.0.1:1"}\n'
        f"{more}"
        'routes: [{name: all, match: {paths: ["*"]}, public: true, respond: {status: 200, body: ok}}]\n'
    )
    return load(folder / "routes.yaml")


def test_who_routes_and_who_answers_know_the_same_addresses(tmp_path: Path) -> None:
    loaded = config(tmp_path, "assertion: {issuer: a}\n")
    own = own_paths(loaded)
    keys = AssertionKeys(AssertionSettings(None, ()), health=FileHealth(Metrics()))
    assert set(own.methods) == set(own_ways(loaded, {}, keys)) == {JWKS}
    assert all(path.startswith(BASE) for path in own.methods)
    assert (set(own.listeners), set(own.elsewhere)) == ({"edge"}, {"plain"})


def test_without_what_they_serve_there_are_none(tmp_path: Path) -> None:
    assert (own_paths(config(tmp_path)).methods, own_ways(config(tmp_path), {})) == ({}, {})
