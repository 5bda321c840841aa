"""The second stage: which route takes a request."""

from gateway.stages.route.route import Routes, RouteSettings

__all__ = ["RouteSettings", "Routes"]
