"""An imported fragment in the smallest file that it merges into, read as the gateway would read it."""

from pathlib import Path
from typing import Any

import yaml

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.convert.imports import Imported, import_files
from gateway.convert.scope import Scope
from gateway.convert.writing import yaml_text

SMALLEST = """\
version: 1
listeners:
  edge: {address: "127.0.0.1:8443", tls: {certificate: certs/edge.pem, key: certs/edge.key}}
trust_domains:
  cluster.local: {bundle: certs/cluster-ca.pem}
routes:
  - name: all
    match: {paths: ["/*"]}
    respond: {status: 200}
"""


def imported(folder: Path, text: str, *, routes: tuple[str, ...] = ()) -> Imported:
    path = folder / "in.yaml"
    path.write_text(text, encoding="utf-8")
    return import_files([path], Scope(routes))


def lines(found: Imported) -> list[str]:
    """What was not carried, without the folder of the file."""
    return [str(lost).replace(f"{lost.where.file}:", "in.yaml:") for lost in found.not_carried]


def merged(folder: Path, found: Imported) -> Config:
    """Raises ConfigInvalid where the loader does not accept the fragment."""
    whole: dict[str, Any] = yaml.safe_load(SMALLEST)
    for key, section in yaml.safe_load(yaml_text(found.config) or "{}").items():
        whole[key] = _merge(whole.get(key), section)
    path = folder / "routes.yaml"
    path.write_text(yaml_text(whole), encoding="utf-8")
    return load(path, env={})


def _merge(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {**ours, **{key: _merge(ours.get(key), held) for key, held in theirs.items()}}
    return theirs
