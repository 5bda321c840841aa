"""Where frames end, however they are cut into pieces; the frames that the gateway says goodbye with."""

import itertools
import random

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, State

from gateway.stages.forward.frames import Frames, close_frame

SIZES = (0, 1, 125, 126, 127, 65535, 65536, 70000)


def frame(size: int, opcode: Opcode = Opcode.BINARY, *, masked: bool = False) -> bytes:
    return Frame(opcode, bytes(size)).serialize(mask=masked)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_frame_ends_where_it_ends(size: int, masked: bool) -> None:
    data, frames = frame(size, masked=masked), Frames()
    assert frames.between
    assert frames.feed(data) == len(data)
    assert frames.between
    assert not frames.closed


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 300, 65536])
def test_it_does_not_matter_how_it_is_cut(size: int, masked: bool) -> None:
    data = frame(size, masked=masked)
    for cut in itertools.chain(range(1, min(len(data), 20)), [len(data) - 1]):
        frames = Frames()
        assert frames.feed(data[:cut]) == -1 if cut < len(data) else len(data)
        assert not frames.between
        assert frames.feed(data[cut:] + b"\x81") == len(data) - cut
        assert not frames.between


def test_of_many_in_many_pieces_every_end_is_found() -> None:
    chance = random.Random(7)
    made = [frame(chance.choice(SIZES[:5]), masked=chance.random() < 0.5) for _ in range(200)]
    ends = set(itertools.accumulate(map(len, made)))
    data, frames, at = b"".join(made), Frames(), 0
    while at < len(data):
        piece = data[at : at + chance.randint(1, 300)]
        end = frames.feed(piece)
        within = [each - at for each in ends if at < each <= at + len(piece)]
        assert end == max(within, default=-1)
        at += len(piece)
        assert frames.between is (at in ends)


def test_a_close_is_noticed_and_no_other_frame_taken_for_one() -> None:
    frames = Frames()
    for opcode in (Opcode.TEXT, Opcode.PING, Opcode.PONG, Opcode.CONT):
        frames.feed(frame(8, opcode))
        assert not frames.closed
    frames.feed(frame(2, Opcode.CLOSE, masked=True))
    assert frames.closed


@pytest.mark.parametrize("masked", [False, True])
def test_a_close_of_ours_is_one_for_others(masked: bool) -> None:
    peer = Protocol(SERVER if masked else CLIENT, state=State.OPEN)
    peer.receive_data(close_frame(4401, "token_expired", masked=masked))
    assert peer.close_rcvd is not None
    assert (peer.close_rcvd.code, peer.close_rcvd.reason) == (4401, "token_expired")


def test_a_reason_is_cut_to_what_a_close_can_hold() -> None:
    peer = Protocol(CLIENT, state=State.OPEN)
    peer.receive_data(close_frame(1001, "x" * 500))
    assert peer.close_rcvd is not None
    assert peer.close_rcvd.reason == "x" * 123
