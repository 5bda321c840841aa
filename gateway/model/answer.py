"""The head of an answer that came before, byte for byte, and what was made of it.

Rule: what is kept hangs on its bytes and on the rules of who kept it, never on a request.
Invariant: the front of a `PassedFields` is as it was written: who changes those fields makes a list of his own.
"""

from gateway.model.noun import noun
from gateway.model.outcome import Outcome
from gateway.model.request import RawHeaders


class AnswerSection(list[tuple[bytes, bytes]]):
    """The fields of a backend's answer; the same object for every answer that repeats them."""

    __slots__ = ("head", "outcome", "passing", "size", "status")

    status: int
    head: bytes  # the lines that they stand in, from the status line to the empty one
    size: int  # bytes of the answer, with the body that they declare
    outcome: tuple[object, Outcome] | None  # who answered last with it, and how such a request ends if it ends well
    passing: "tuple[object, WrittenFields | None] | None"  # who judged, and what passes of it as it is

    def __init__(self) -> None:
        super().__init__()
        self.outcome = None
        self.passing = None


@noun
class WrittenFields:
    """Fields that pass, written: among them one Date, one Content-Length and nothing else of framing."""

    fields: RawHeaders
    lines: bytes  # of a head, each with its end
    length: int  # that they declare


class OwnFields(list[tuple[bytes, bytes]]):
    """What the gateway adds to an answer that passes: no field of framing, each of them one line."""

    __slots__ = ("lines",)

    lines: bytes  # the same, written, each with its end


class ComposedFields(list[tuple[bytes, bytes]]):
    """All fields of an answer of the gateway's own but Date: each of them one line, of framing its length alone."""

    __slots__ = ("length", "lines")

    lines: bytes  # the same, written, each with its end; without the length
    length: bytes  # the line of Content-Length, with its end


class PassedFields(list[tuple[bytes, bytes]]):
    """The fields of an answer: those of `front`, and what the gateway adds behind them."""

    __slots__ = ("front", "own")

    front: WrittenFields
    own: OwnFields | None  # what stands behind the front, if nobody added more; None: it is not written yet


def passed(front: WrittenFields, ours: RawHeaders) -> PassedFields:
    """Both, as one list."""
    fields = PassedFields(front.fields)
    fields += ours
    fields.front = front
    fields.own = ours if type(ours) is OwnFields else None
    return fields
