"""The one connection to the agent, over a reload."""

import time
from pathlib import Path

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.workload import workload_source
from gateway.control.feeds.watch import FileWatch
from gateway.control.feeds.workload_api import WorkloadApi
from gateway.control.health import FileHealth
from gateway.kernel.cells import Metrics
from gateway.testing.ca import Authority


def config(folder: Path, more: str) -> Config:
    Authority("cluster.local").issue(dns=["localhost"]).write(folder, "edge")
    (folder / "routes.yaml").write_text(
        "version: 1\n"
        'listeners: {edge: {address: "127.0.0.1:0", tls: {certificate: edge.pem, key: edge.key}}}\n'
        f"{more}\n"
        'routes: [{name: all, match: {paths: ["*"]}, public: true, respond: {status: 200, body: ok}}]\n'
    )
    return load(folder / "routes.yaml")


def source(loaded: Config, previous: WorkloadApi | None = None) -> WorkloadApi | None:
    return workload_source(loaded, previous, FileHealth(Metrics()), FileWatch(), time.time)


def test_it_lives_on_while_it_is_asked_for_the_same(tmp_path: Path) -> None:
    asked = "identity: {workload_api: unix:///run/a.sock}"
    first = source(config(tmp_path, asked))
    assert first is not None
    assert (first.settings.path, first.settings.bundles) == ("/run/a.sock", False)
    assert source(config(tmp_path, f"{asked}\nworkers: 2"), first) is first
    more = source(config(tmp_path, f"{asked}\ntrust_domains: {{a.example: {{bundle: workload_api}}}}"), first)
    assert more is not None
    assert more is not first
    assert more.settings.bundles
    assert source(config(tmp_path, ""), first) is None
