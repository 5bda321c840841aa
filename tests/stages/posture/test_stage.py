"""Nothing is known of devices in this build."""

from ipaddress import ip_address

from gateway.model.principal import Principal
from gateway.stages.posture import NoPosture
from tests.stages.authenticate.asking import ROUTE, request


async def test_there_is_never_any_posture() -> None:
    principal = Principal(None, None, ip_address("192.0.2.1"))
    assert await NoPosture()(request(), ROUTE, principal) is None
