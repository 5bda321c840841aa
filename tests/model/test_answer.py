"""The head of an answer that came before."""

from gateway.model.answer import AnswerSection, PassedFields


def test_a_section_is_the_fields_and_begins_with_nothing_kept() -> None:
    section = AnswerSection()
    section.append((b"date", b"now"))
    assert section == [(b"date", b"now")]
    assert (section.passing, section.outcome) == (None, None)


def test_passed_fields_are_a_list_of_their_own() -> None:
    fields = [(b"date", b"now")]
    passed = PassedFields(fields)
    passed.append((b"x-request-id", b"1"))
    assert fields == [(b"date", b"now")]
