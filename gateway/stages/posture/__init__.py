"""What is known of the caller's device."""

from gateway.stages.posture.stage import NoPosture

__all__ = ["NoPosture"]
