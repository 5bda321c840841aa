import pytest

from gateway.config.document import Document
from gateway.config.variables import substitute
from gateway.model.place import Place


def read(text: str) -> Document:
    return Document(text, "f", lambda scalar, _: substitute(scalar, {"PORT": "80", "EMPTY": ""}))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("1", 1),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("0777", "0777"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("0b1", "0b1"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("9" * 5000, "9" * 5000),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n 1\n", "1\n"),
    ],
)
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(written: str, value: object) -> None:
    document = read(f"k: {written}")
    assert document.problems == []
    assert document.root == {"k": value}
    assert type(document.root["k"]) is type(value) or isinstance(value, str | float)  # True is not 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1 'a' stands twice: first in line 1"),
        ("{a: {b: 1, b: 2}}", "f:1:12 'b' stands twice: first in line 1"),
        ("<<: {a: 1}", "f:1:1 merge keys are not part of YAML 1.2: write the keys out"),
        ("a: !!str 1", "f:1:4 tags are not used: remove tag:yaml.org,2002:str (quotes make a text)"),
        ("a: !x {b: 1}", "f:1:4 tags are not used: remove !x"),
        ("a: 1\n---\nb: 1\n", "f:2:1 a second document: a file holds one (remove it and the ---)"),
        ("1: a", 'f:1:1 a key is a text: write "1" in quotes'),
        ("true: a", 'f:1:1 a key is a text: write "true" in quotes'),
        ("? [a]\n: b\n", "f:1:3 a key is a text, not a list or mapping"),
        ("a: &x b\n*x : c\n", "f:2:1 a key is a text: write it out"),
        ("a: *x", "f:1:4 *x refers to nothing that stands before it"),
        ("a: &x [*x]", "f:1:8 *x refers to nothing that stands before it"),
        ("a:\n\t- b", "f:2:1 not YAML: found character that cannot start any token (tabs cannot indent in YAML)"),
        ("a: b: c", "f:1:5 not YAML: mapping values are not allowed in this context"),
        ("é: \x07", "f:1:4 not YAML: the character '\\x07' cannot stand in a file (write it as an escape)"),
        (
            "{x: ${PORT}}",
            "f:1:6 not YAML: did not find expected ',' or '}' (inside {} and [] a variable stands in quotes)",
        ),
        ("x: ${NOPE}", "f:1:4 ${NOPE} is not set: set it, or write ${NOPE:-default}"),
        ("x: ${a-b}", "f:1:4 a variable is written ${NAME} or ${NAME:-default}; $${ is a literal ${"),
        ("[" * 65 + "]" * 65, "f:1:65 nested more than 64 levels deep"),
    ],
)
def test_each_fault_of_writing_has_its_place(text: str, fault: str) -> None:
    assert [f"{problem.where} {problem}" for problem in read(text).problems] == [fault]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases repeat too much: write the values out" in [str(p) for p in read("\n".join(lines)).problems]


def test_aliases_cannot_nest_deeper_than_the_file_may() -> None:
    lines = ["a0: &a0 " + "[" * 40 + "]" * 40, "a1: &a1 " + "[" * 30 + "*a0" + "]" * 30]
    assert "aliases repeat too much" in str(read("\n".join(lines)).problems[0])


def test_a_hundred_thousand_brackets_are_refused_at_once() -> None:
    assert "nested more than 64" in str(read("[" * 100_000).problems[0])


def test_an_alias_is_a_copy_under_its_own_key() -> None:
    document = read("a: &x {k: 1}\nb: *x\n")
    assert document.root == {"a": {"k": 1}, "b": {"k": 1}}
    root = document.root
    assert isinstance(root, dict)
    assert [root["a"].key, root["b"].key] == ["a", "b"]


def test_every_value_knows_its_place_and_its_keys() -> None:
    root = read("a:\n  - b: ü  # x\n    c: [1, 2]\n").root
    assert isinstance(root, dict)
    block = root["a"][0]
    assert block.where == Place("f", 2, 5)
    assert block.keys_at["c"] == Place("f", 3, 5)
    assert block.values_at["c"] == Place("f", 3, 8)
    assert block["c"].values_at[1] == Place("f", 3, 12)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${PORT}", "80"),
        ("x${PORT}y${PORT}", "x80y80"),
        ('"${PORT}"', "80"),
        ("$${PORT}", "${PORT}"),
        ("${NOPE:-9}", "9"),
        ("${NOPE:-}", ""),
        ("${EMPTY:-9}", "9"),
        ("${EMPTY}", ""),
        ("$PORT", "$PORT"),
        ("${NOPE:-a: b}", None),
    ],
)
def test_variables_are_replaced_inside_scalars_after_parsing(written: str, value: str | None) -> None:
    document = read(f"k: {written}")
    if value is None:  # a default is YAML like everything else
        assert "not YAML" in str(document.problems[-1])
    else:
        assert document.root == {"k": value}


def test_a_variable_never_adds_keys_and_is_not_read_again() -> None:
    document = Document("k: ${V}\n", "f", lambda scalar, _: substitute(scalar, {"V": "a: 1\nb: ${V}"}))
    assert document.root == {"k": "a: 1\nb: ${V}"}


def test_variables_are_not_replaced_inside_expressions() -> None:
    assert read("when: ['${PORT}']\nrequire: ['${NOPE}']\n").root == {"when": ["${PORT}"], "require": ["${NOPE}"]}


def test_a_file_of_several_documents_is_read_where_it_is_wanted() -> None:
    text = "a: &x 1\n8080: b\n--- [c]\n---\n"
    several = Document(text, "f", lambda scalar, _: scalar, several=True)
    assert several.problems == []
    assert several.roots == [{"a": 1, "8080": "b"}, ["c"], None]
    assert several.roots_at == [Place("f", 1, 1), Place("f", 3, 1), Place("f", 4, 1)]
    stray = Document("a: &x 1\n---\nb: *x\n", "f", lambda scalar, _: scalar, several=True)
    assert [problem.where.line for problem in stray.problems] == [3]
