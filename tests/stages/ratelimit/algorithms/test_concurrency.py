from gateway.stages.ratelimit import Concurrency
from gateway.stages.ratelimit.algorithm import share
from tests.stages.ratelimit.requests import NOW


def test_room_is_what_the_quota_leaves_and_time_changes_nothing() -> None:
    three = Concurrency(3)
    assert three.look(None, NOW) == ((0.0, 0.0, 0.0), 3)
    for now in (NOW, NOW + 1e6, NOW - 1e6):
        assert three.look((0.0, 2.0, 0.0), now)[1] == 1
        assert three.look((0.0, 5.0, 0.0), now)[1] == 0  # a lower quota finds more in than it allows
    assert (three.wait((0.0, 3.0, 0.0), NOW), three.reset((0.0, 3.0, 0.0), NOW), three.window) == (1.0, 0.0, 0)
    assert [share(three, processes).quota for processes in (1, 2, 3, 9)] == [3, 2, 1, 1]
