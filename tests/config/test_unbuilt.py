"""What the contract has and this build has not: never ignored. This list of refusals only shrinks."""

import re
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problem import ConfigInvalid
from gateway.config.unbuilt import UNBUILT
from tests.config.sample import changed, judged

CONTRACT = Path(__file__).parent.parent.parent / "examples" / "contract.yaml"
REFUSED = [
    "130:133 sinks",
    "131:1 telemetry",
]


def test_of_the_whole_contract_exactly_this_is_refused(folder: Path) -> None:
    path = folder / "contract.yaml"
    path.write_bytes(CONTRACT.read_bytes())
    with pytest.raises(ConfigInvalid) as invalid:
        load(path)
    assert [f"{one.where.line}:{one.where.column} {one.message}" for one in invalid.value.errors] == [
        f"{refused} is not built yet: remove it" for refused in REFUSED
    ]


def test_without_them_the_contract_is_valid(folder: Path) -> None:
    text = CONTRACT.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^telemetry:.*\n(  .*\n)*\n?", "", text)
    text = text.replace(", sinks: [stdout]", "")
    errors, warnings = judged(folder, text)
    assert errors == []
    # Plain HTTP redirects and is no serving listener; nothing else in the contract is unwise.
    assert warnings == []


@pytest.mark.parametrize(
    ("extra", "refusal"),
    [
        pytest.param(("address:", "protocols: [h2, http/1.1], address:"), "3:22 h2", id="h2"),
        pytest.param(("upstreams:", "audit: {keep: 90d}\nupstreams:"), "6:9 keep", id="audit-keep"),
        pytest.param(("endpoints:", "protocol: h2, endpoints:"), "7:25 h2", id="h2-upstream"),
    ],
)
def test_other_keys_and_values_of_the_contract_are_refused(folder: Path, extra: tuple[str, str], refusal: str) -> None:
    assert f"{refusal} is not built yet: remove it" in judged(folder, changed(extra))[0]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(("upstreams:", "audit: {sinks: []}\nupstreams:"), id="empty"),
    ],
)
def test_set_to_their_defaults_they_may_stand(folder: Path, extra: tuple[str, str]) -> None:
    assert judged(folder, changed(extra))[0] == []


def test_a_default_is_no_excuse_for_another_value(folder: Path) -> None:
    errors, _ = judged(folder, changed(("upstreams:", "audit: {sinks: [nowhere]}\nupstreams:")))
    assert errors == ["6:9 sinks is not built yet: remove it"]


def test_every_entry_of_the_table_is_refused_somewhere_in_these_tests() -> None:
    text = Path(__file__).read_text(encoding="utf-8") + CONTRACT.read_text(encoding="utf-8")
    last = {pattern.replace(".*", "").rpartition(".")[2] for pattern, _, _ in UNBUILT}
    assert {key for key in last if key not in text} == set()
