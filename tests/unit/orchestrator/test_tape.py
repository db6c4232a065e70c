import asyncio
from pathlib import Path

import numpy as np
import pytest

from orchestrator.tape import BLOCK_FRAMES, Tape


def block(frames: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 2, frames), dtype=np.float32)


async def test_a_reader_gets_what_is_written_while_it_is_written(tmp_path: Path) -> None:
    written = [block(100, seed=1), block(7, seed=2), block(BLOCK_FRAMES + 5, seed=3)]
    total = sum(piece.shape[-1] for piece in written)
    with Tape(tmp_path, stems=("drums", "bass"), total_frames=total) as tape:

        async def read(stem: str) -> np.ndarray:
            return np.concatenate([piece async for piece in tape.blocks(stem)])

        readers = [asyncio.create_task(read(stem)) for stem in ("drums", "bass")]
        for piece in written:
            await tape.append(piece)
        drums, bass = await asyncio.gather(*readers)
    whole = np.concatenate(written, axis=-1)
    assert drums.tobytes() == whole[0].T.tobytes()
    assert bass.tobytes() == whole[1].T.tobytes()


async def test_the_peak_is_that_of_the_whole_stem(tmp_path: Path) -> None:
    with Tape(tmp_path, stems=("drums", "bass"), total_frames=20) as tape:
        peak = asyncio.create_task(tape.peak("bass"))
        first = np.zeros((2, 2, 10), dtype=np.float32)
        first[1, 0, 3] = -1.5
        await tape.append(first)
        await asyncio.sleep(0)
        assert not peak.done()
        await tape.append(np.zeros((2, 2, 10), dtype=np.float32))
        assert await peak == pytest.approx(1.5)
