"""The second stage: which route takes a request."""

from gateway.stages.route.route import OwnPaths, Routes, RouteSettings

__all__ = ["OwnPaths", "RouteSettings", "Routes"]
