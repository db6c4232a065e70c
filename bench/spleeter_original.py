"""Seconds of two separations by Spleeter itself: python -m bench.spleeter_original DIR SONG.npy.

Runs in Spleeter's environment, which has nothing of the services. The first separation also reads
and optimises what the second finds ready.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from spleeter.separator import Separator

from exporters.spleeter.original.checkpoints import parameters_of, read_variables


def main() -> None:
    checkpoint, samples = Path(sys.argv[1]).resolve(), np.load(sys.argv[2])
    _, parameters = parameters_of(read_variables(checkpoint), suffix="")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as configuration:
        json.dump(parameters | {"model_dir": str(checkpoint)}, configuration)
        configuration.flush()
        separator = Separator(configuration.name, multiprocess=False)
        print(json.dumps([_seconds(separator, samples) for _ in range(2)]))


def _seconds(separator: Separator, samples: np.ndarray) -> float:
    started = time.perf_counter()
    separator.separate(samples)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
