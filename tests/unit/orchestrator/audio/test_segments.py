"""Windows as `demucs.apply` cuts them; figures of Demucs' own 7.8 s at 44.1 kHz."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.audio.segments import SegmentPlan

SEGMENT = 343_980
HOP = 257_985


def plan(total: int) -> SegmentPlan:
    return SegmentPlan(total_samples=total, segment_samples=SEGMENT, hop_samples=HOP)


def test_four_minutes_end_in_two_short_chunks() -> None:
    segments = list(plan(240 * 44_100))
    assert len(segments) == len(plan(240 * 44_100)) == 42
    assert [segment.samples for segment in segments[-3:]] == [SEGMENT, 264_600, 6_615]


def test_a_short_segment_is_centred_with_the_larger_half_on_the_right() -> None:
    (segment,) = plan(3)
    assert segment.window_start == -((SEGMENT - 3) // 2)
    assert segment.trim_start == 171_988


def test_a_full_segment_is_its_own_window() -> None:
    first, *_ = plan(2 * SEGMENT)
    assert (first.window_start, first.trim_start, first.samples) == (0, 0, SEGMENT)


@pytest.mark.parametrize(("total", "hop"), [(0, 1), (1, 0), (1, SEGMENT + 1)])
def test_an_impossible_cut_is_refused(total: int, hop: int) -> None:
    with pytest.raises(ValueError, match="no way to cut"):
        SegmentPlan(total_samples=total, segment_samples=SEGMENT, hop_samples=hop)


@given(
    total=st.integers(1, 5_000),
    segment=st.integers(1, 400),
    share=st.floats(0.01, 1.0),
    delay=st.integers(0, 500),
)
def test_segments_cover_the_track_and_their_windows_hold_them(
    total: int, segment: int, share: float, delay: int
) -> None:
    hop = max(1, int(share * segment))
    cut = SegmentPlan(
        total_samples=total, segment_samples=segment, hop_samples=hop, delay_samples=delay
    )
    segments = list(cut)
    assert len(segments) == len(cut)
    assert segments[0].offset == -delay
    covered = -delay
    for piece in segments:
        assert piece.offset <= covered
        covered = max(covered, piece.offset + piece.samples)
        assert piece.window_start + piece.trim_start == piece.offset
        assert piece.trim_start + piece.samples <= segment
    assert covered == total
