import pytest

from tests.kernel.cel.language import outcome, refused


@pytest.mark.parametrize(
    "text",
    [
        r"""'\n\t\\\'\"\?\`' == "\n\t\\'\"?`" """,
        r"'\x41\u00e9\U0001F600\101' == 'Aé😀A'",
        r"r'\d' == '\\d'",
        r"R'\d' == '\\d'",
        "'''a\n'b''' == \"a\\n'b\"",
        '"""a"b""" == \'a"b\'',
        r"b'\xff' == b'\377'",
        "size(b'é') == 2",
        "size(rb'\\x') == 2",
        "0x1F == 31",
        "0xFFu == 255u",
        "1e3 == 1000.0",
        ".5 == 0.5",
        "1 == 1 // a remark\n && true",
        "\t1\r\n==\f1",
        "18446744073709551615u > 0u",
    ],
)
def test_literals(text: str) -> None:
    assert outcome(text) is True


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("a = 1", "'=' does not belong to the language: write == to compare", 3),
        ("a & b", "'&' does not belong to the language: write &&", 3),
        ("a | b", "'|' does not belong to the language: write ||", 3),
        ("a == é", "'\\xe9' does not belong to the language", 6),
        ("a == ${X}", "'$' does not belong to the language", 6),
        ("a == 'x", "the string does not end", 6),
        ("a == 'x\n'", "the string does not end", 6),
        ("a == '\\q'", "there is no such escape: write \\\\ for a backslash", 7),
        ("a == '\\ud800'", "there is no such character", 7),
        ("a == '\\U00110000'", "there is no such character", 7),
        ("a == b'\\u0041'", "bytes have no \\u and \\U", 8),
        ("a == 9223372036854775808", "the number has more than 64 bits", 6),
        ("a == -9223372036854775809", "the number has more than 64 bits", 7),
        ("a == 18446744073709551616u", "the number has more than 64 bits", 6),
        ("a == 11111111111111111111111111111111111", "the number has more than 64 bits", 6),
        ("a == 12x", "a number ends here and no word may touch it", 8),
    ],
)
def test_what_is_no_word_is_refused_at_its_column(text: str, message: str, column: int) -> None:
    assert refused(text) == (message, 1, column)


def test_lines_are_counted() -> None:
    assert refused("a == 1 &&\n  b = 2") == ("'=' does not belong to the language: write == to compare", 2, 5)
