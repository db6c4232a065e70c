"""One client process: segments to Triton and their stems back, as an orchestrator asks for them.

Prints one JSON object: seconds of this process's processor time, and of wall, per segment.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.triton import TritonSeparator
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.model_card import ModelCard

WARM_UP_SEGMENTS = 4


async def measure(
    settings: TritonSettings, *, model: str, stems: Sequence[str], segments: int
) -> dict[str, float]:
    """`settings.window` segments at a time, after a warm-up."""
    async with open_triton(settings) as client, open_transport(client, settings) as transport:
        catalogue = TritonCatalogue(client, timeout_s=settings.metadata_timeout_s)
        (card,) = [each.card for each in await catalogue.models() if each.card.name == model]
        separator = TritonSeparator(transport, catalogue, settings)
        await _separate(separator, card, stems, WARM_UP_SEGMENTS, window=settings.window)
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await _separate(separator, card, stems, segments, window=settings.window)
        return {
            "client_cpu_s": (time.process_time() - cpu_s) / segments,
            "wall_s": (time.perf_counter() - wall_s) / segments,
        }


async def _separate(
    separator: TritonSeparator, card: ModelCard, stems: Sequence[str], segments: int, *, window: int
) -> None:
    mix = np.random.default_rng(0).standard_normal(
        (card.channels, card.segment_samples), dtype=np.float32
    )

    async def one_after_the_other(turns: Iterator[int]) -> None:
        for _ in turns:
            await separator.separate(mix, card=card, stems=stems)

    turns = iter(range(segments))
    await asyncio.gather(*(one_after_the_other(turns) for _ in range(window)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--stems", nargs="+", required=True)
    parser.add_argument("--segments", type=int, required=True)
    chosen = parser.parse_args()
    figures = measure(
        TritonSettings.model_validate_json(sys.stdin.read()),
        model=chosen.model,
        stems=chosen.stems,
        segments=chosen.segments,
    )
    json.dump(asyncio.run(figures), sys.stdout)


if __name__ == "__main__":
    main()
