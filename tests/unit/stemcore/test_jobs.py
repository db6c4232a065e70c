import pytest

from stemcore.jobs import TRANSITIONS, EventType, JobStatus, ResultFile, event_for, sources_of

ALLOWED = {
    "accepted": {"queued", "cancelled"},
    "queued": {"running", "cancelled"},
    "running": {"queued", "succeeded", "failed", "cancelled"},
    "succeeded": set[str](),
    "failed": {"queued"},
    "cancelled": {"queued"},
}


def test_the_table_of_transitions_is_the_documented_one() -> None:
    assert {before: set(after) for before, after in TRANSITIONS.items()} == ALLOWED


@pytest.mark.parametrize("status", JobStatus)
def test_sources_are_the_table_read_backwards(status: JobStatus) -> None:
    assert sources_of(status) == {before for before in JobStatus if status in TRANSITIONS[before]}


def test_every_status_can_be_left_or_is_an_end() -> None:
    ends = {status for status in JobStatus if status.is_terminal}
    assert ends == {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
    assert all(TRANSITIONS[status] for status in JobStatus if status not in ends)


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_has_an_event(status: JobStatus) -> None:
    assert event_for(status) in EventType


@pytest.mark.parametrize("made_by", [None, "subtraction"])
def test_a_result_file_survives_its_dictionary(made_by: str | None) -> None:
    result = ResultFile(
        name="drums",
        filename="drums.wav",
        key="results/1/drums.wav",
        content_type="audio/wav",
        size_bytes=1,
        sha256="0" * 64,
        made_by=made_by,
    )
    assert ResultFile(**result.to_dict()) == result
    assert ("made_by" in result.to_dict()) == (made_by is not None)
