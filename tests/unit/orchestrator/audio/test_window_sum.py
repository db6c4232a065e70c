"""Spleeter's plan: `join: sum` of a card."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.audio.segments import SummedPlan
from orchestrator.audio.window_sum import WindowSum

Samples = NDArray[np.float32]

# Spleeter's: 512 frames of 1024 samples and the 3 that the last one's window reaches beyond them.
SEGMENT = 527_360
HOP = 524_288
LEAD_IN = 4_096


def whole_track_sum(plan: SummedPlan, windows: list[Samples]) -> Samples:
    """Every window added where it stands, over an array with room on both sides."""
    begin = -plan.delay_samples - plan.lead_in_samples
    room = len(windows) * plan.hop_samples + plan.segment_samples
    out = np.zeros((*windows[0].shape[:-1], room), dtype=np.float32)
    for index, window in enumerate(windows):
        at = index * plan.hop_samples
        out[..., at : at + plan.segment_samples] += window
    return out[..., plan.lead_in_samples : plan.total_samples - begin]


def joined(plan: SummedPlan, windows: list[Samples]) -> list[Samples]:
    joiner = WindowSum(plan, stems=2, channels=2)
    return [joiner.add(piece, window) for piece, window in zip(plan, windows, strict=True)]


@settings(deadline=None)
@given(
    total=st.integers(1, 900),
    segment=st.integers(1, 120),
    share=st.floats(0.1, 1.0),
    lead_in=st.integers(0, 200),
    delay=st.integers(0, 50),
)
def test_the_stream_equals_the_whole_track_bit_for_bit(
    total: int, segment: int, share: float, lead_in: int, delay: int
) -> None:
    plan = SummedPlan(
        total_samples=total,
        segment_samples=segment,
        hop_samples=max(1, int(share * segment)),
        lead_in_samples=lead_in,
        delay_samples=delay,
    )
    random = np.random.default_rng(total)
    windows = [random.standard_normal((2, 2, segment), dtype=np.float32) for _ in plan]
    blocks = joined(plan, windows)
    assert np.concatenate(blocks, axis=-1).tobytes() == whole_track_sum(plan, windows).tobytes()
    assert max(block.shape[-1] for block in blocks) <= plan.hop_samples


@settings(deadline=None)
@given(
    total=st.integers(1, 900),
    segment=st.integers(1, 120),
    share=st.floats(0.1, 1.0),
    lead_in=st.integers(0, 200),
)
def test_windows_stand_a_hop_apart_and_begin_before_the_end(
    total: int, segment: int, share: float, lead_in: int
) -> None:
    hop = max(1, int(share * segment))
    plan = SummedPlan(
        total_samples=total, segment_samples=segment, hop_samples=hop, lead_in_samples=lead_in
    )
    starts = [piece.window_start for piece in plan]
    assert len(starts) == len(plan)
    assert starts == [index * hop - lead_in for index in range(len(plan))]
    assert starts[-1] < total <= starts[-1] + hop


@pytest.mark.parametrize(
    "total", [1, 515_071, 520_192, 520_193, 523_264, 523_265, 1_044_480, 1_044_481, 10_584_000]
)
def test_there_are_as_many_windows_as_spleeter_has_parts(total: int) -> None:
    """4096 zeros before, frames 1024 apart to the end, parts of 512 frames."""
    plan = SummedPlan(
        total_samples=total, segment_samples=SEGMENT, hop_samples=HOP, lead_in_samples=LEAD_IN
    )
    frames = -(-(total + LEAD_IN) // 1024)
    assert len(plan) == -(-frames // 512)


def test_windows_out_of_order_are_refused() -> None:
    plan = SummedPlan(total_samples=30, segment_samples=10, hop_samples=5)
    _, second, *_ = plan
    with pytest.raises(ValueError, match="segment 1 instead of 0"):
        WindowSum(plan, stems=1, channels=2).add(second, np.zeros((1, 2, 10), dtype=np.float32))
