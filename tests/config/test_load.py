import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.load import load
from gateway.config.problem import ConfigInvalid, ConfigUnreadable, Problem
from gateway.config.schema import UNLIMITED, Address
from gateway.model.place import Place
from tests.config.sample import SMALL, changed, judged, loaded, write


def test_the_smallest_file_is_valid_and_complete(folder: Path) -> None:
    config = loaded(folder, SMALL)
    edge, route = config.listeners["edge"], config.routes[0]
    assert edge.name == "edge"
    assert edge.address == Address("0.0.0.0", 8443)
    assert edge.tls is not None
    assert edge.tls.client_certificate == "none"
    assert [pair.key for pair in edge.tls.pairs] == [folder / "certs" / "edge.key"]
    assert (edge.limits.header_bytes, edge.limits.idle_timeout) == (32768, 60.0)
    assert config.state_dir == folder / "var" / "state"
    assert config.audit.directory == folder / "var" / "audit"
    assert config.store.get_secret_value() == "memory://"
    assert config.issuers["corp"].algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    assert route.allow[0].name == "inventory.allow[0]"
    assert route.allow[0].from_[0].request_principals == ("*",)
    assert route.allow[0].where == Place(str(folder / "routes.yaml"), 13, 9)
    assert config.path == folder / "routes.yaml"
    assert config.digest == hashlib.sha256(SMALL.encode()).hexdigest()
    assert [str(one).partition(":")[0] for one in config.warnings] == ["checkpoints are unsigned", "no identity"]


def test_a_loaded_configuration_cannot_be_changed(folder: Path) -> None:
    config = loaded(folder, SMALL)
    with pytest.raises(ValueError, match="frozen"):
        config.routes[0].name = "other"


def test_what_a_file_names_by_its_place_cannot_be_written_in_it(folder: Path) -> None:
    text = changed(('issuer: "', 'name: x, where: y, issuer: "'))
    assert [error.split(" (")[0] for error in judged(folder, text)[0]] == [
        "5:10 unknown key 'name'",
        "5:19 unknown key 'where'",
    ]


def test_single_mappings_stand_for_lists_and_keep_their_places(folder: Path) -> None:
    text = changed(
        (
            '{from: {request_principals: ["*"]}, to: {methods: [GET]}}',
            "{from: [{issuers: [corp]}, {ip_blocks: [10.0.0.1]}]}",
        )
    )
    rule = loaded(folder, text).routes[0].allow[0]
    assert [source.where.column for source in rule.from_] == [17, 36]
    assert rule.to == ()


def test_units_become_plain_numbers(folder: Path) -> None:
    text = changed(("    upstream: inventory\n", "    upstream: inventory\n    timeout: 1m\n    max_body: unlimited\n"))
    route = loaded(folder, text).routes[0]
    assert (route.timeout, route.max_body) == (60.0, UNLIMITED)


@pytest.mark.parametrize(("written", "env", "workers"), [("${W}", {"W": "3"}, 3), ("${W:-2}", {}, 2), ("0x2", {}, 2)])
def test_a_whole_plain_variable_takes_the_type_of_its_key(
    folder: Path, written: str, env: dict[str, str], workers: int
) -> None:
    assert loaded(folder, changed(("version: 1", f"version: 1\nworkers: {written}")), env).workers == workers


def test_a_variable_where_a_text_is_wanted_stays_a_text(folder: Path) -> None:
    block = 'match:\n      paths: ["/x"]\n      headers:\n        X-Canary: "${C}"\n        x-b: ${C}\n'
    text = changed(('match: {paths: ["/api/v1/inventory/*"]}\n', block))
    assert loaded(folder, text, {"C": "1"}).routes[0].match.headers == {"x-canary": "1", "x-b": "1"}


def test_client_certificates_are_asked_for_where_something_says_whose_are_believed(folder: Path) -> None:
    for extra in (
        "trust_domains: {cluster.local: {bundle: certs/cluster-ca.pem, crl: certs/cluster.crl}}",
        'client_authorities: {p: {bundle: certs/partners-ca.pem, names: ["*.partner.example"]}}',
    ):
        tls = loaded(folder, changed(("upstreams:", f"{extra}\nupstreams:"))).listeners["edge"].tls
        assert tls is not None
        assert tls.client_certificate == "optional"
    bound = changed(("audiences:", "binding: {mtls: required}, audiences:"))
    tls = loaded(folder, bound).listeners["edge"].tls
    assert tls is not None
    assert tls.client_certificate == "optional"


def test_a_secret_may_stand_in_a_file_and_never_in_a_message(folder: Path) -> None:
    config = loaded(folder, changed(("upstreams:", "store: {file: secret}\nupstreams:")))
    assert config.store.get_secret_value() == "redis://:hunter2@127.0.0.1"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)
    errors, _ = judged(folder, changed(("upstreams:", "store: ftp://:hunter2@x\nupstreams:")))
    assert errors
    assert "hunter2" not in str(errors)
    errors, _ = judged(folder, changed(("upstreams:", "store: {file: nowhere}\nupstreams:")))
    assert errors == ["6:8 cannot read the secret from nowhere: no such file or directory"]


def test_every_error_is_found_in_one_run(folder: Path) -> None:
    text = changed(
        ("version: 1", "version: 1\nworkers: many\ntelemetry: {}\nnonsense: 1"),
        ("audiences: [api-service]", "audiences: []"),
        ("https://inventory.internal:8443", "https://169.254.169.254"),
        ("    upstream: inventory\n", "    upstream: inventori\n    timeout: 5\n    cors: {origins: [null]}\n"),
        ("[GET]", "[GETS]"),
        ("certs/edge.key", "certs/none.key"),
    )
    errors, _ = judged(folder, text)
    assert [error.partition(" ")[0] for error in errors] == [
        "2:10",
        "3:12",
        "4:1",
        "6:75",
        "8:73",
        "10:27",
        "14:15",
        "15:14",
        "16:22",
        "18:60",
    ]


def test_a_fault_does_not_raise_others_in_its_wake(folder: Path) -> None:
    # Not "tls is missing", not "'inventory' is none of upstreams", not "the route does nothing".
    text = changed(("tls: {", "tls: {min_version: 3, "), ("endpoints:", "endpoint:"), ("    upstream:", "    upsteam:"))
    errors, _ = judged(folder, text)
    assert [error.partition(" ")[0] for error in errors] == ["3:54", "7:15", "11:5"]


def test_absent_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable, match="no such file or directory"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigUnreadable, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigUnreadable, match="null"):
        load(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    path.chmod(0)
    with pytest.raises(ConfigUnreadable, match="permission denied"):
        load(path)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "1:1: error: the file is empty (it needs at least version, listeners and routes)"),
        (b"# nothing\n", "1:1: error: the file is empty (it needs at least version, listeners and routes)"),
        (b"- a\n", "1:1: error: a mapping is wanted (it needs at least version, listeners and routes)"),
        (b"a: 1\nb: \xff\n", "2:4: error: not UTF-8: write the file in UTF-8"),
        (b"a: [\n", "2:1: error: not YAML: did not find expected node content"),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, data: bytes, error: str) -> None:
    path = tmp_path / "routes.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigInvalid) as invalid:
        load(path)
    assert str(invalid.value) == f"{path}:{error}"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path, folder: Path) -> None:
    path = folder / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load(path).version == 1


_NONE = Problem(Place("", 0, 0), "invalid without an error")


def _errors(path: Path) -> tuple[Problem, ...]:
    try:
        load(path, env={"A": "b"})
    except ConfigInvalid as invalid:
        return invalid.errors or (_NONE,)
    return ()


_PIECES = st.one_of(
    st.sampled_from(SMALL.splitlines(keepends=True)),
    st.sampled_from(
        ["{}", "[]", "- ", ": ", "&a ", "*a ", "!!x ", "<<: *a", "${A}", "${", "\t", "~", "1:30", "0777", "'", '"']
    ),
    st.sampled_from(
        ["when: [x]", "from: {}", "to: [[]]", "allow: [1]", "upstream: {a: b}", "name: [x]", "tls: 3", "? a\n"]
    ),
    st.text(max_size=12),
)


def test_an_error_is_one_line_also_where_the_value_that_it_quotes_is_not(folder: Path) -> None:
    path = folder / "any.yaml"
    path.write_text(SMALL.replace('"/api/v1/inventory/*"', '"no path\\n\\r/*"'), encoding="utf-8")
    (error,) = _errors(path)
    assert "no path\\n\\r/*" in error.message
    assert "\n" not in str(error)
    assert "\r" not in str(error)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(_PIECES, max_size=14), at=st.integers(0, len(SMALL)), drop=st.integers(0, 60))
def test_no_text_ends_in_a_traceback(folder: Path, pieces: list[str], at: int, drop: int) -> None:
    text = SMALL[:at] + "".join(pieces) + SMALL[at + drop :]
    path = folder / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    errors = _errors(path)
    assert all(error.where.line >= 1 and error.where.column >= 1 for error in errors)
    assert all(error.message and "\n" not in error.message for error in errors)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_in_any_place_ends_in_a_traceback(folder: Path, data: st.DataObject) -> None:
    value = data.draw(
        st.sampled_from(["~", "[]", "{}", "1", "-1", "1.5", "true", "x", "''", "[x]", "[[x]]", "{a: b}", "[{}]", "[1]"])
    )
    text = data.draw(st.sampled_from(_EVERY_KEY)).format(value)
    path = folder / "any.yaml"
    path.write_text(
        changed(
            ("    upstream: inventory\n", f"    upstream: inventory\n{text}"), ("upstreams:", f"{_SECTIONS}upstreams:")
        )
    )
    assert [error.message for error in _errors(path) if "Input should" in error.message] == []


_SECTIONS = "rate_limits: {r: {rate: 1/minute}}\n"
_KEYS = ["respond", "redirect", "public", "rewrite", "rate_limits", "requires", "deny", "forward", "cors", "timeout"]
_KEYS += ["mirror", "max_body", "websocket", "request_headers", "response_headers", "ignore_credentials"]
_EVERY_KEY = [f"    {key}: {{0}}\n" for key in _KEYS] + [
    f"    {outer}: {{{{{inner}: {{0}}}}}}\n"
    for outer, inner in (
        ("requires", "certificate"),
        ("requires", "scopes"),
        ("rewrite", "prefix"),
        ("forward", "headers"),
        ("forward", "keep"),
        ("cors", "origins"),
        ("response_headers", "set"),
        ("redirect", "status"),
    )
]
