"""Whole files against what stands in tests/golden/import: the fragment, what is not carried, the notes."""

from pathlib import Path

import pytest

from gateway.config.problem import ConfigInvalid
from gateway.convert.imports import import_files
from gateway.convert.scope import Scope
from gateway.convert.writing import yaml_text
from tests.convert.merging import imported, lines, merged

GOLDEN = Path(__file__).parents[1] / "golden" / "import"


@pytest.mark.parametrize("name", ["destination-rule", "linkerd"])
def test_golden(folder: Path, name: str) -> None:
    found = import_files([GOLDEN / f"{name}.yaml"], Scope(["all"] if name == "linkerd" else []))
    said = "".join(f"# {lost}\n" for lost in found.not_carried) + "".join(f"# note: {note}\n" for note in found.notes)
    text = (yaml_text(found.config) + said).replace(f"{GOLDEN}/", "")
    assert text == (GOLDEN / f"{name}.out.yaml").read_text(encoding="utf-8")
    merged(folder, found)


def test_two_of_one_name_are_told_apart(folder: Path) -> None:
    one = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
    one += "metadata: {name: p, namespace: %s}\nspec: {rules: [{}]}\n"
    found = imported(folder, "---\n".join(one % space for space in ("a", "b", "b")))
    assert [policy.name for policy in merged(folder, found).policies] == ["p", "b.p", "p-3"]
    assert found.not_carried == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "not YAML"),
        ("a: 1\na: 2", "stands twice"),
        ("kind: !x y", "tags are not used"),
    ],
)
def test_a_file_that_cannot_be_read_has_no_answer(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        imported(folder, text)


def test_what_is_no_resource_is_said(folder: Path) -> None:
    found = imported(folder, "---\n---\njust a text\n---\n- {kind: Service, metadata: {name: s}}\n")
    assert lines(found) == [
        "in.yaml:2:1: not carried: (document) (whole): it is no resource: a mapping with apiVersion and kind is wanted",
        "in.yaml:5:3: not carried: Service/s (whole): Service is no kind that is imported",
    ]
