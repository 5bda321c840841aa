"""A config file with certificates, for tests of what is built from it and of explain."""

from functools import cache
from pathlib import Path
from textwrap import dedent, indent

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.testing.ca import Authority, Issued

ISSUER = "https://auth.example.com/realms/internal"


def write(
    folder: Path,
    *,
    routes: str,
    policies: str = "",
    client_certificate: str = "optional",
    listeners: str = "",
    issuers: str = f'corp: {{issuer: "{ISSUER}", audiences: [api-service]}}',
    more: str = "",
) -> Path:
    """Write routes.yaml and the certificates that it names; returns its path."""
    if not (folder / "edge.pem").exists():
        cluster, edge, other = _certificates()
        cluster.write(folder, "cluster-ca")
        edge.write(folder, "edge")
        other.write(folder, "other")
    text = dedent(
        f"""\
        version: 1
        listeners:
          edge:
            address: "127.0.0.1:8443"
            tls: {{certificate: edge.pem, key: edge.key, client_certificate: {client_certificate}}}
        """
    )
    text += _block(listeners, 2)
    text += f"trust_domains:\n  cluster.local: {{bundle: cluster-ca.pem}}\nissuers:\n{_block(issuers, 2)}"
    text += 'upstreams:\n  api: {endpoints: ["https://127.0.0.1:9443"], tls: {ca: cluster-ca.pem}}\n'
    text += f"policies:\n{_block(policies, 2)}" if policies else ""
    text += f"routes:\n{_block(routes, 2)}audit: {{directory: audit}}\n"
    path = folder / "routes.yaml"
    path.write_text(text + dedent(more), encoding="utf-8")
    return path


def config(folder: Path, **parts: str) -> Config:
    """The same, loaded."""
    return load(write(folder, **parts))


def place(path: Path, needle: str) -> str:
    """FILE:LINE:COLUMN of the first `needle`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if needle in line:
            return f"{path}:{number}:{line.index(needle) + 1}"
    raise AssertionError(needle)


@cache
def _certificates() -> tuple[Authority, Issued, Issued]:
    cluster = Authority("cluster.local")
    edge = cluster.issue(dns=["api.example.com", "*.internal.example"])
    return cluster, edge, cluster.issue(dns=["other.example"])


def _block(text: str, by: int) -> str:
    return indent(dedent(text).strip("\n") + "\n", " " * by) if text else ""
