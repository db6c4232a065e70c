"""Spleeter itself as a program of another environment: TensorFlow 2.12 wants one of its own."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.audio import Audio
from exporters.errors import CheckpointError
from exporters.spleeter.configuration import Configuration

MODULE = "exporters.spleeter.original"
TIMEOUT_S = 1_800.0
_ROOT = Path(__file__).resolve().parents[2]

Variables = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A checkpoint's variables by TensorFlow's names, and what Spleeter's JSON says of them."""

    configuration: Configuration
    parameters: Mapping[str, Any]
    variables: Variables
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpleeterProgram:
    """`python` is that of the environment with TensorFlow and Spleeter."""

    python: Path = _ROOT / ".envs" / "exporters-spleeter" / "bin" / "python"

    def read(self, directory: Path, *, suffix: str) -> Imported:
        """Raises CheckpointError or UnsupportedModel."""
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch)
            self.run("read", "--checkpoint", directory, f"--suffix={suffix}", "--output", output)
            document = json.loads((output / "configuration.json").read_text())
            with np.load(output / "variables.npz") as file:
                variables = {name: file[name] for name in file.files}
        parameters, descriptor = document["parameters"], document["descriptor"]
        return Imported(
            configuration=Configuration.from_parameters(parameters, descriptor=descriptor),
            parameters=parameters,
            variables=variables,
            versions=document["versions"],
        )

    def separate(
        self, songs: Sequence[Audio], *, parameters: Mapping[str, Any]
    ) -> list[dict[str, Audio]]:
        """Songs [channels, samples] of any lengths, in one process, to the same per stem."""
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch)
            configuration, mixes = output / "configuration.json", output / "songs.npz"
            configuration.write_text(json.dumps(parameters))
            np.savez(mixes, *songs)
            self.run(
                "separate", "--configuration", configuration, "--songs", mixes, "--output", output
            )
            return [_load(output / f"{place}.npz") for place in range(len(songs))]

    def fetch(self, name: str, directory: Path) -> None:
        """Downloads one of Spleeter's models; raises CheckpointError without a network."""
        self.run("fetch", name, "--output", directory)

    def run(self, *arguments: str | Path) -> None:
        """Raises CheckpointError with what the program says of itself."""
        if not self.python.exists():
            raise CheckpointError(
                f"Spleeter's own environment is missing ({self.python}): "
                "`make exporters-spleeter` installs it"
            )
        command = [self.python, "-m", MODULE, *arguments]
        try:
            subprocess.run(
                command, cwd=_ROOT, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except subprocess.CalledProcessError as error:
            raise CheckpointError(_complaint(error.stderr)) from error


def _load(path: Path) -> dict[str, Audio]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _complaint(stderr: str) -> str:
    """The program's own line, or the last one of a fault that it did not foresee."""
    lines = stderr.strip().splitlines() or ["no word"]
    own = [line for line in lines if line.startswith("error: ")]
    return own[-1].removeprefix("error: ") if own else f"Spleeter failed: {lines[-1]}"
