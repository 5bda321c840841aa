"""Dockerfile and docker-compose.yml as a builder would read them, without an engine; their commands are run."""

import re
import shlex
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from gateway.cli.main import COMMANDS
from gateway.testing import services
from gateway.testing.process import free_ports, listening, running

ROOT = Path(__file__).parents[1]
KNOWN = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
KNOWN |= {"ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments dropped."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def final(name: str) -> list[str]:
    """Values of one instruction in the last stage."""
    steps = instructions()
    last = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    return [rest for word, rest in steps[last:] if word == name]


def allowed_into_the_build() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


def test_every_instruction_is_one_and_the_first_names_a_base() -> None:
    words = [word for word, _ in instructions()]
    assert set(words) <= KNOWN
    assert next(word for word in words if word != "ARG") == "FROM"
    assert all(
        re.fullmatch(r"python:\$\{PYTHON\}-slim( AS \w+)?", rest) for word, rest in instructions() if word == "FROM"
    )
    (python,) = [rest for word, rest in instructions() if word == "ARG"]
    assert re.fullmatch(r"PYTHON=3\.1[1-4]", python)


def test_every_source_that_is_copied_exists_and_reaches_the_builder() -> None:
    stages = {rest.rpartition(" AS ")[2] for word, rest in instructions() if word == "FROM" and " AS " in rest}
    copied = [shlex.split(rest) for word, rest in instructions() if word == "COPY"]
    sources = [source for words in copied if not words[0].startswith("--") for source in words[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in allowed_into_the_build()
    assert {words[0].removeprefix("--from=") for words in copied if words[0].startswith("--")} <= stages


def test_packages_are_pinned_by_hash_and_nothing_is_compiled() -> None:
    installs = [
        step for word, rest in instructions() if word == "RUN" for step in rest.split("&&") if " install " in step
    ]
    for step in installs:
        if "pip" not in step.split()[0]:
            continue
        assert "--no-deps" in step or {"--require-hashes", "--only-binary"} <= set(step.split()), step
    assert sum("--require-hashes" in step for step in installs) == 2


def test_the_image_runs_as_nobody_in_particular_and_writes_to_one_volume() -> None:
    (user,) = final("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    (volume,) = final("VOLUME")
    environment = dict(word.split("=", 1) for rest in final("ENV") for word in shlex.split(rest))
    for name in ("GATEWAY_STATE", "GATEWAY_AUDIT"):
        assert environment[name].startswith(f"{volume}/")
    (owned,) = [rest for rest in final("RUN") if rest.startswith("install -d")]
    assert volume in owned.split()
    assert f"-o {user.split(':')[0]}" in owned


def test_the_health_check_asks_whether_it_is_ready_and_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = final("HEALTHCHECK")
    command = yaml.safe_load(check.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "/readyz" in command[2]
    monkeypatch.setenv("GATEWAY_ADMIN", f"127.0.0.1:{free_ports(1)[0]}")
    asked = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True)
    assert asked.returncode == 1
    assert "Connection refused" in asked.stderr


def test_the_entry_point_is_a_command_that_exists() -> None:
    assert yaml.safe_load(final("ENTRYPOINT")[0]) == ["gateway"]
    command = yaml.safe_load(final("CMD")[0])
    assert command[0] in COMMANDS
    assert command[1:] == ["--config", "/etc/gateway/routes.yaml"]


def test_environment_that_is_set_is_environment_that_is_read() -> None:
    read = set(re.findall(r"\$\{(GATEWAY_\w+)", (ROOT / "routes.yaml").read_text()))
    in_image = {word.split("=")[0] for rest in final("ENV") for word in shlex.split(rest)}
    in_compose = set(SERVICES["gateway"]["environment"])
    assert {name for name in in_image | in_compose if name.startswith("GATEWAY_")} <= read


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_locked_down_and_refers_only_to_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "image" in service
    for other, how in dict(service.get("depends_on") or {}).items():
        assert how["condition"] != "service_healthy" or "test" in SERVICES[other]["healthcheck"]
    volumes = set(compose()["volumes"])
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        assert source in volumes or (ROOT / source).exists()
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_published_ports_are_those_that_the_gateway_listens_on() -> None:
    environment = SERVICES["gateway"]["environment"]
    listening_on = {environment[name].rpartition(":")[2] for name in ("GATEWAY_EDGE", "GATEWAY_BROWSER")}
    assert {port.rpartition(":")[2] for port in SERVICES["gateway"]["ports"]} == listening_on


def test_each_address_in_the_environment_is_a_service_at_its_port() -> None:
    for name in ("GATEWAY_ISSUER", "GATEWAY_INVENTORY", "GATEWAY_PAYMENTS"):
        url = httpx2.URL(SERVICES["gateway"]["environment"][name])
        assert SERVICES[url.host]["entrypoint"] == ["python", "-m", "gateway.testing.services"]
        args = services.arguments().parse_args(SERVICES[url.host]["command"])
        assert args.port == url.port
        if args.role == "provider":
            assert args.url == str(url)
    assert SERVICES["gateway"]["environment"]["GATEWAY_STORE"] == "redis://redis:6379"
    assert SERVICES["redis"]["image"].startswith("redis:")


def test_the_commands_really_make_the_certificates_and_start_the_services(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    program = f"{shlex.quote(sys.executable)} -m gateway"
    script = SERVICES["pki"]["command"][0].replace("/certs", str(certs)).replace("gateway pki", f"{program} pki")
    for _ in range(2):  # `up` once more finds everything there
        done = subprocess.run(["sh", "-euc", script], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    port, backend_port = free_ports(2)
    url = f"https://localhost:{port}"

    def command(name: str, *more: str) -> list[str]:
        words = [str(word).replace("/certs", str(certs)) for word in SERVICES[name]["command"]]
        return [sys.executable, *SERVICES[name]["entrypoint"][1:], *words, "--host", "127.0.0.1", *more]

    with (
        running(
            command("provider", "--port", str(port), "--url", url), tmp_path / "provider.log", cwd=ROOT
        ) as provider,
        running(command("inventory", "--port", str(backend_port)), tmp_path / "backend.log", cwd=ROOT) as backend,
    ):
        provider.wait_for(lambda: listening(port), what="the provider to listen")
        backend.wait_for(lambda: listening(backend_port), what="the backend to listen")
        trust = ssl.create_default_context(cafile=certs / "provider-ca.pem")
        # Its certificate is for its name in the compose network.
        extensions = {"sni_hostname": "provider"}
        with httpx2.Client(verify=trust, trust_env=False) as client:
            found = client.get(f"{url}/.well-known/openid-configuration", extensions=extensions).json()
            assert found["issuer"] == url
            form = {"grant_type": "client_credentials"}
            got = client.post(f"{url}/token", data=form, auth=("web", "web-secret"), extensions=extensions)
            assert got.json()["scope"] == "inventory:read payments:write"
        refused = ssl.create_default_context(cafile=certs / "cluster-ca.pem")
        refused.check_hostname = False
        with pytest.raises(httpx2.TransportError):  # without a certificate
            httpx2.get(f"https://localhost:{backend_port}/", verify=refused, trust_env=False)
        refused.load_cert_chain(certs / "gateway.pem", certs / "gateway.key")
        answered = httpx2.get(f"https://localhost:{backend_port}/42", verify=refused, trust_env=False).json()
        assert answered["caller"] == "spiffe://cluster.local/ns/gateway/sa/gateway"
        assert (provider.stop(), backend.stop()) == (0, 0)
