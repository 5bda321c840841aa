"""What the command line overrides; serving itself is in tests/flows/test_lifecycle.py."""

import argparse
from pathlib import Path

import pytest

from gateway.cli.output import CannotTell
from gateway.cli.serve import add_arguments, override
from gateway.config.load import load
from gateway.config.schema import Config
from gateway.testing.ca import Authority

FILE = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:8443", tls: {certificate: edge.pem, key: edge.key}}
  plain: {address: "127.0.0.1:8080"}
routes:
  - {name: all, match: {paths: ["/*"]}, public: true, respond: {status: 200}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "routes.yaml").write_text(FILE)
    Authority("cluster.local").issue(dns=["localhost"]).write(tmp_path, "edge")
    return load(tmp_path / "routes.yaml")


def told(config: Config, *arguments: str) -> Config:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return override(config, parser.parse_args(arguments))


def test_without_options_the_file_holds(config: Config) -> None:
    assert told(config) == config


def test_options_outrank_the_file(config: Config) -> None:
    found = told(
        config, "--workers", "3", "--listen", "0.0.0.0:1", "--listen", "plain=127.0.0.1:2", "--admin", "127.0.0.1:3"
    )
    assert found.workers == 3
    assert [str(listener.address) for listener in found.listeners.values()] == ["0.0.0.0:1", "127.0.0.1:2"]
    assert found.admin is not None
    assert str(found.admin.address) == "127.0.0.1:3"
    assert told(config, "--admin", "unix:///run/gateway.sock").admin is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "0"),
        ("--workers", "257"),
        ("--listen", "plain=0.0.0.0:1"),
        ("--listen", "nobody=127.0.0.1:1"),
        ("--listen", "8443"),
        ("--admin", "localhost"),
        ("--admin", "127.0.0.1:8443"),
    ],
)
def test_an_option_says_no_more_than_the_file_could(config: Config, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CannotTell, match=f"^{arguments[0]}"):
        told(config, *arguments)
