import json
import re
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.config.faults import keys_of
from gateway.config.schema import Config, Route, Rule


@pytest.fixture
def schema(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["schema"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def test_it_knows_the_keys_of_the_file_and_no_others(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == set(keys_of(Config))
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"version", "listeners", "routes"}
    assert set(schema["$defs"]["Route"]["properties"]) == set(keys_of(Route))
    assert "from" in schema["$defs"]["Rule"]["properties"]
    assert set(schema["$defs"]["Rule"]["properties"]) == set(keys_of(Rule))
    assert "\\u0000" not in json.dumps(schema)


def test_it_says_what_keys_mean_and_what_they_are_by_default(schema: dict[str, Any]) -> None:
    timeouts = schema["$defs"]["Timeouts"]["properties"]
    assert timeouts["connect"]["default"] == "2s"
    assert timeouts["connect"]["description"] == "TCP and TLS."
    assert timeouts["connect"]["type"] == "string"
    limits = schema["$defs"]["ListenerLimits"]["properties"]
    assert limits["header_bytes"]["default"] == "32KiB"


def test_short_forms_and_variables_are_no_errors(schema: dict[str, Any]) -> None:
    assert {"type": "string", "description": "its URL"} in schema["$defs"]["Endpoint"]["anyOf"]
    assert {"$ref": "#/$defs/Source"} in schema["$defs"]["Rule"]["properties"]["from"]["anyOf"]
    for held in (schema["properties"]["workers"], schema["$defs"]["Log"]["properties"]["format"]):
        assert any(one.get("pattern", "").startswith("^\\$") for one in held["anyOf"])
    rate = schema["$defs"]["RateLimit"]["properties"]["rate"]["anyOf"]
    assert [one["type"] for one in rate] == ["string", "array"]
    claims = schema["$defs"]["OverrideMatch"]["properties"]["claims"]["additionalProperties"]["anyOf"]
    assert [one["type"] for one in claims] == ["string", "array"]
    connect = schema["$defs"]["Timeouts"]["properties"]["connect"]["pattern"]
    assert all(re.search(connect, text) for text in ("5s", "${CONNECT}", "${CONNECT:-5}s"))
    assert not re.search(connect, "5 s")


def test_bounds_of_numbers_are_words_that_validators_know(schema: dict[str, Any]) -> None:
    workers = schema["properties"]["workers"]["anyOf"][0]
    assert workers == {"type": "integer", "minimum": 1, "maximum": 256}
    assert schema["$defs"]["Operation"]["properties"]["ports"]["items"]["maximum"] == 65535
    assert schema["$defs"]["Match"]["properties"]["paths"]["minItems"] == 1
    assert '"ge":' not in json.dumps(schema)
    assert '"le":' not in json.dumps(schema)
