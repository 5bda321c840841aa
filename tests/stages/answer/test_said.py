"""What refusals of one kind have in common; that it is what is said is in test_stage.py."""

from dataclasses import replace

import pytest

from gateway.model.reason import Reason
from gateway.model.refused import Refused
from gateway.model.request import HeaderSection
from gateway.stages.answer.said import ID, Said, form_of
from tests.exchange import head


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ([], ("json", False)),
        ([("accept", "application/json")], ("json", False)),
        ([("accept", "application/json;q=0.1"), ("accept", "text/html")], ("html", False)),
        ([("accept", "text/html"), ("accept", "application/json;q=0.1")], ("html", False)),
        ([("accept", "text/html"), ("content-type", "application/grpc")], ("grpc", False)),
        ([("accept", "text/html"), ("content-type", "application/grpc-web")], ("html", False)),
        ([("authorization", "DPoP x")], ("json", True)),
        ([("authorization", "Bearer x"), ("authorization", "dpop x")], ("json", True)),
        ([("authorization", "Bearer x")], ("json", False)),
    ],
)
def test_the_form_hangs_on_every_field_that_asks_for_it_and_is_kept_with_the_section(
    headers: list[tuple[str, str]], form: tuple[str, bool]
) -> None:
    request = head(headers=headers)
    assert form_of(request) == form
    section = HeaderSection()
    assert form_of(replace(request, section=section)) == form
    assert section.form == form


@pytest.mark.parametrize("form", ["json", "html", "grpc"])
def test_its_length_is_that_of_the_document_with_an_id_of_ours(form: str) -> None:
    said = Said(Refused(Reason.NO_RULE_ALLOWS), form, [(b"cache-control", b"no-store")])
    body = (b"a" * ID).join(said.parts)
    assert said.length == b"content-length: %d\r\n" % len(body)
    assert said.taken[-1] == (b"content-length", b"%d" % len(body))
    assert said.outcome.bytes_out == len(body)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x=1", b"a\n", b"a\0"])
def test_H30_nothing_of_it_ends_a_line(value: bytes) -> None:
    with pytest.raises(ValueError, match="line end"):
        Said(Refused(Reason.NO_RULE_ALLOWS), "json", [(b"www-authenticate", value)])
