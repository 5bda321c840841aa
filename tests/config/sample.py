"""The smallest useful file, changed a little, and what the loader says of it."""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.load import load
from gateway.config.problem import ConfigInvalid, Problem
from gateway.config.schema import Config

SMALL = """\
version: 1
listeners:
  edge: {address: "0.0.0.0:8443", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
issuers:
  corp: {issuer: "https://auth.example.com/realms/internal", audiences: [api-service]}
upstreams:
  inventory: {endpoints: ["https://inventory.internal:8443"]}
routes:
  - name: inventory
    match: {paths: ["/api/v1/inventory/*"]}
    upstream: inventory
    allow:
      - {from: {request_principals: ["*"]}, to: {methods: [GET]}}
"""
ALWAYS = ("no identity:", "checkpoints are unsigned:")  # warnings of the smallest file


def changed(*changes: tuple[str, str], text: str = SMALL) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def write(folder: Path, text: str) -> Path:
    path = folder / "routes.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Config:
    return load(write(folder, text), env=env or {})


def judged(folder: Path, text: str, env: Mapping[str, str] | None = None) -> tuple[list[str], list[str]]:
    """Errors and warnings as `LINE:COLUMN message (hint)`, without those of the smallest file."""
    try:
        warnings = loaded(folder, text, env).warnings
        errors: tuple[Problem, ...] = ()
    except ConfigInvalid as invalid:
        errors, warnings = invalid.errors, invalid.warnings
    return _lines(folder, errors), [line for line in _lines(folder, warnings) if not any(one in line for one in ALWAYS)]


def _lines(folder: Path, problems: tuple[Problem, ...]) -> list[str]:
    return [f"{one.where.line}:{one.where.column} {one}".replace(f"{folder}/", "") for one in problems]
