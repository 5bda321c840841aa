"""Credentials into a proved principal: a client certificate, a bearer token, both, or neither.

Rule: a credential that is sent must hold, wherever it is sent; what proves it stands behind two small interfaces.
Invariant: a principal holds only what was proved for this request; time, audience and binding are judged each time.
"""

from gateway.stages.authenticate.stage import Authenticate, RouteCredentials

__all__ = ["Authenticate", "RouteCredentials"]
