"""What is known of the caller's device, and whether it is enough."""

from gateway.stages.posture.device import compile_device
from gateway.stages.posture.requirement import Requirement, compile_require
from gateway.stages.posture.source import Known, Source, Unavailable, known
from gateway.stages.posture.stage import JudgePosture

__all__ = [
    "JudgePosture",
    "Known",
    "Requirement",
    "Source",
    "Unavailable",
    "compile_device",
    "compile_require",
    "known",
]
