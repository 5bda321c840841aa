"""A file of devices."""

from pathlib import Path

import pytest

from gateway.config.devices import read_devices


def test_yaml_and_json_are_read_as_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("laptop-1: {encrypted: true, os: 'x', age: 3, share: 0.5, tags: [a, b], no: on}\n'7': {}\n")
    found = read_devices(path)
    assert found == {
        "laptop-1": {"encrypted": True, "os": "x", "age": 3, "share": 0.5, "tags": ["a", "b"], "no": "on"},
        "7": {},
    }
    assert {type(value) for value in found["laptop-1"].values()} == {bool, str, int, float, list}
    path.write_text('{"laptop-1": {"encrypted": true, "left": null}}')
    assert read_devices(path) == {"laptop-1": {"encrypted": True, "left": None}}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "is no file of devices"),
        (b"- a", "is no file of devices"),
        (b"a: 1", ":1:4: facts are a mapping"),
        (b"a: {b: 1, b: 2}", ":1:11: 'b' stands twice"),
        (b"a: {}\na: {}", "stands twice"),
        (b"a: !x {}", "tags are not used"),
        (b"a: {", "not YAML"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_whole(tmp_path: Path, data: bytes, error: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=error):
        read_devices(path)
