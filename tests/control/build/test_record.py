"""The config's `audit` becomes a log and a stage."""

import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.config.load import load
from gateway.config.schema import Config
from gateway.control.build.record import build_record, log_settings, open_audit_log, read_audit_keys
from gateway.kernel.cells import Metrics
from gateway.stages.record import AuditError
from gateway.testing.clock import Clock
from gateway.testing.keys import new_key, private_pem, write_private
from tests.stages.record.scene import NOW, allowed, decided, lines

CONFIG = """
version: 1
listeners: {{edge: {{address: "127.0.0.1:8081"}}}}
issuers: {{corp: {{issuer: "https://auth.example.com", audiences: [api]}}}}
policies:
  - name: tenants
    action: deny
    rules: [{{when: [{{key: "request.headers[x-blocked]", values: ["yes"]}}]}}]
routes:
  - name: inventory
    match: {{paths: ["/api/*"]}}
    respond: {{status: 200}}
    allow:
      - when:
          - {{key: "request.auth.claims[groups]", values: [a]}}
          - {{key: "request.headers[X-Tenant]", values: [acme]}}
audit: {{directory: audit, replica: here{more}}}
"""


def config(directory: Path, more: str = "") -> Config:
    path = directory / "routes.yaml"
    path.write_text(CONFIG.format(more=more))
    return load(path, now=NOW)


async def recorded(directory: Path, more: str = "") -> list[dict[str, object]]:
    """The records of one allowed request under a config."""
    loaded = config(directory, more)
    keys, metrics = read_audit_keys(loaded.audit), Metrics()
    log = open_audit_log(loaded.audit, keys, 0, metrics, clock=Clock(NOW))
    log.start()
    record = build_record(loaded, keys, log, metrics)
    await decided(record, allowed(record, values={"x-tenant": ("acme",), "x-other": ("no",)}))
    await log.close()
    assert lines(directory / "audit")[1]["config"] == loaded.digest
    return lines(directory / "audit")


async def test_what_the_rules_of_a_route_name_is_recorded(tmp_path: Path) -> None:
    assert (await recorded(tmp_path))[1]["inputs"] == {
        "headers": {"x-tenant": "acme"},
        "claims": {"groups": ["a", "b"]},
    }


async def test_inputs_none(tmp_path: Path) -> None:
    assert (await recorded(tmp_path, ", inputs: none"))[1]["inputs"] is None


async def test_inputs_digests_under_a_key_of_the_signing_key(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_private(tmp_path / "audit.key", private_pem(key))
    records = await recorded(tmp_path, ", inputs: digests, signing_key: audit.key")
    under = hmac.digest(key.private_bytes_raw(), b"gateway-audit-redaction/1", "sha256")
    inputs = records[1]["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["headers"] == {"x-tenant": f"hmac-sha256:{hmac.digest(under, b'acme', 'sha256').hex()}"}
    assert records[-1]["signature"] is not None


async def test_redacted_names(tmp_path: Path) -> None:
    inputs = (await recorded(tmp_path, ", redact: [X-Tenant]"))[1]["inputs"]
    assert isinstance(inputs, dict)
    assert inputs["headers"]["x-tenant"].startswith("hmac-sha256:")
    assert inputs["claims"] == {"groups": ["a", "b"]}


def test_equal_settings_keep_the_log_and_others_do_not(tmp_path: Path) -> None:
    loaded = config(tmp_path).audit
    keys = read_audit_keys(loaded)
    assert log_settings(loaded, keys, 0) == log_settings(config(tmp_path).audit, keys, 0)
    assert log_settings(loaded, keys, 0).stream == "here-w0"
    assert log_settings(loaded, keys, 0) != log_settings(loaded, keys, 1)
    assert log_settings(loaded, keys, 0) != log_settings(config(tmp_path, ", checkpoint: 5s").audit, keys, 0)
    for name in ("a.key", "b.key"):
        write_private(tmp_path / name, private_pem(new_key("ed25519")))
    one, two = (config(tmp_path, f", signing_key: {name}").audit for name in ("a.key", "b.key"))
    assert log_settings(one, read_audit_keys(one), 0) != log_settings(two, read_audit_keys(two), 0)


def test_secret_keys_stay_out_of_messages(tmp_path: Path) -> None:
    keys = read_audit_keys(config(tmp_path).audit)
    assert keys.redaction.hex() not in repr(keys)
    assert "redaction" not in repr(keys)


@pytest.mark.parametrize("content", [b"no key", private_pem(new_key("p256"))])
def test_a_signing_key_of_another_kind_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    audit = config(tmp_path).audit.replace(signing_key=write_private(tmp_path / "audit.key", content))
    with pytest.raises(AuditError, match="Ed25519") as raised:
        read_audit_keys(audit)
    assert "\n" not in str(raised.value)


def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    audit = config(tmp_path).audit
    with pytest.raises(AuditError, match="cannot be written"):
        open_audit_log(audit, read_audit_keys(audit), 0, Metrics())
