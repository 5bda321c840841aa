from gateway.stages.ratelimit import FixedWindow, TokenBucket
from tests.stages.ratelimit.gates import limit


def test_R13_a_buckets_identity_changes_with_its_meaning_and_not_with_its_rate() -> None:
    before = limit("l", 10, 60).identity
    assert limit("l", 20, 3600).identity == before
    assert limit("m", 10, 60).identity != before
    assert limit("l", 10, 60, key=("client_ip",)).identity != before
    assert limit("l", algorithm=TokenBucket(10, 60, 10)).identity != before
    assert limit("l", algorithm=FixedWindow(1, 1)).identity == before
    assert limit("a", key=("header:b", "route")).identity != limit("a", key=("header:b,route",)).identity
