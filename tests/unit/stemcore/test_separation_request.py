import json

import pytest

from stemcore.separation_request import AudioFormat, ClipMode, OutputOptions, SeparationRequest


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
        ),
    ],
)
def test_a_request_survives_the_job_row(request_: SeparationRequest) -> None:
    row = json.loads(json.dumps(request_.to_dict()))
    assert SeparationRequest.from_dict(row) == request_
