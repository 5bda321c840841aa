import pytest

from gateway.model.json import JSON
from gateway.stages.posture import known
from gateway.stages.posture.source import NEVER


@pytest.mark.parametrize(
    ("said", "observed"),
    [
        (12, 12.0),
        (12.5, 12.5),
        ("1970-01-01T00:00:12.5Z", 12.5),
        ("yesterday", NEVER),
        (True, NEVER),
        (None, NEVER),
        ([12], NEVER),
    ],
)
def test_facts_say_when_they_were_observed_or_are_of_no_use(said: JSON, observed: float) -> None:
    assert known({"observed_at": said}, 99.0).observed == observed


def test_facts_that_say_nothing_are_of_the_time_given() -> None:
    assert known({}, 99.0).observed == 99.0
