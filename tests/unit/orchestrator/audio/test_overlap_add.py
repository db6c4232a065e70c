import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.audio.overlap_add import OverlapAdd, triangular_weights
from orchestrator.audio.segments import SegmentPlan


def whole_track_sum(plan: SegmentPlan, windows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The loop of `demucs.apply.apply_model`, over whole-track arrays."""
    weights = triangular_weights(plan.segment_samples)
    out = np.zeros((*windows[0].shape[:-1], plan.total_samples), dtype=np.float32)
    sums = np.zeros(plan.total_samples, dtype=np.float32)
    for segment, window in zip(plan, windows, strict=True):
        stretch = window[..., segment.trim_start : segment.trim_start + segment.samples]
        end = segment.offset + segment.samples
        out[..., segment.offset : end] += weights[: segment.samples] * stretch
        sums[segment.offset : end] += weights[: segment.samples]
    return out / sums


@given(total=st.integers(1, 900), segment=st.integers(1, 120), share=st.floats(0.1, 1.0))
def test_the_stream_equals_the_whole_track_bit_for_bit(
    total: int, segment: int, share: float
) -> None:
    hop = max(1, int(share * segment))
    plan = SegmentPlan(total_samples=total, segment_samples=segment, hop_samples=hop)
    random = np.random.default_rng(total)
    windows = [random.standard_normal((2, 2, segment), dtype=np.float32) for _ in range(len(plan))]
    joiner = OverlapAdd(plan, stems=2, channels=2)
    blocks = [joiner.add(piece, window) for piece, window in zip(plan, windows, strict=True)]
    joined = np.concatenate(blocks, axis=-1)
    assert joined.tobytes() == whole_track_sum(plan, windows).tobytes()


def test_weights_rise_and_fall_like_demucs_own() -> None:
    assert triangular_weights(5).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])
    assert triangular_weights(4).tolist() == [0.5, 1, 1, 0.5]
    assert triangular_weights(1).tolist() == [1]


def test_segments_out_of_order_are_refused() -> None:
    plan = SegmentPlan(total_samples=30, segment_samples=10, hop_samples=5)
    joiner = OverlapAdd(plan, stems=1, channels=2)
    _, second, *_ = plan
    with pytest.raises(ValueError, match="segment 1 instead of 0"):
        joiner.add(second, np.zeros((1, 2, 10), dtype=np.float32))
