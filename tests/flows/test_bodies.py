"""Large bodies through a real gateway: constant memory, and back pressure. The gibibyte itself: `make prove`."""

from pathlib import Path

from loadtest.proofs.bodies import GROWTH, HELD_BACK, download, hall, slow_backend, slow_reader, upload

SIZE = 40 << 20  # more than may be on the way, and more than memory may grow by


async def test_a_body_of_any_size_takes_constant_memory_and_who_is_slow_holds_back_the_sender_alone(
    tmp_path: Path,
) -> None:
    async with hall(tmp_path / "gateway", "lane", SIZE) as held:  # the proof carries them over both drivers
        before = held.forget_peak()
        assert await download(held) == SIZE
        assert await upload(held) == SIZE
        for carry in (slow_reader, slow_backend):
            on_the_way, others, came = await carry(held)
            assert on_the_way < HELD_BACK
            assert others
            assert came == SIZE
        assert held.resident() - before < GROWTH
