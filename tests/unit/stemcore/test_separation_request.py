import json

import pytest

from stemcore.separation_request import (
    AudioFormat,
    ClipMode,
    ComplementMode,
    OutputOptions,
    SeparationRequest,
)


@pytest.mark.parametrize(
    "request_",
    [
        SeparationRequest(model="mini", stems=("drums",)),
        SeparationRequest(
            model="mini",
            stems=("drums", "bass"),
            output=OutputOptions(format=AudioFormat.FLAC, bit_depth=16, sample_rate_hz=48_000),
            overlap=0.5,
            clip=ClipMode.RESCALE,
            complement=ComplementMode.SUM,
            shifts=10,
            seed=2**32 - 1,
            consistency=True,
        ),
    ],
)
def test_a_request_survives_the_job_row(request_: SeparationRequest) -> None:
    row = json.loads(json.dumps(request_.to_dict()))
    assert SeparationRequest.from_dict(row) == request_


def test_a_row_from_before_an_option_has_its_default() -> None:
    row = {
        "model": "mini",
        "stems": ["drums", "bass"],
        "output": {"format": "flac", "bit_depth": 16, "sample_rate": 48_000},
        "overlap": 0.75,
        "clip": "rescale",
    }
    assert SeparationRequest.from_dict(row) == SeparationRequest(
        model="mini",
        stems=("drums", "bass"),
        output=OutputOptions(format=AudioFormat.FLAC, bit_depth=16, sample_rate_hz=48_000),
        overlap=0.75,
        clip=ClipMode.RESCALE,
    )
