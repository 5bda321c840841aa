"""What the contract has and this build has not: never ignored. This list of refusals only shrinks."""

from pathlib import Path

import pytest

from gateway.config.unbuilt import UNBUILT
from tests.config.sample import changed, judged

CONTRACT = Path(__file__).parent.parent.parent / "examples" / "contract.yaml"


def test_the_whole_contract_is_valid(folder: Path) -> None:
    errors, warnings = judged(folder, CONTRACT.read_text(encoding="utf-8"))
    assert errors == []
    # Plain HTTP redirects and is no serving listener; nothing else in the contract is unwise.
    assert warnings == []


@pytest.mark.parametrize(
    ("extra", "refusal"),
    [
        pytest.param(("address:", "protocols: [h2, http/1.1], address:"), "3:22 h2", id="h2"),
        pytest.param(("endpoints:", "protocol: h2, endpoints:"), "7:25 h2", id="h2-upstream"),
    ],
)
def test_other_values_of_the_contract_are_refused(folder: Path, extra: tuple[str, str], refusal: str) -> None:
    assert f"{refusal} is not built yet: remove it" in judged(folder, changed(extra))[0]


def test_every_entry_of_the_table_is_refused_somewhere_in_these_tests() -> None:
    text = Path(__file__).read_text(encoding="utf-8") + CONTRACT.read_text(encoding="utf-8")
    last = {pattern.replace(".*", "").rpartition(".")[2] for pattern, _ in UNBUILT}
    assert {key for key in last if key not in text} == set()
