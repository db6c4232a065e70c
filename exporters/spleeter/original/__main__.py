"""python -m exporters.spleeter.original: Spleeter itself, in the environment that it needs."""

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import httpx
import numpy as np
from spleeter.model.provider import ModelProvider
from spleeter.utils.configuration import load_configuration

from exporters.errors import CheckpointError, ExportError
from exporters.spleeter.original.checkpoints import parameters_of, read_variables
from exporters.spleeter.original.random_weights import save_random_checkpoint
from exporters.spleeter.original.separation import separated


def main() -> int:
    options = _parser().parse_args()
    try:
        options.command(options)
    except ExportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _read(options: argparse.Namespace) -> None:
    variables = read_variables(options.checkpoint)
    descriptor, parameters = parameters_of(variables, suffix=options.suffix)
    parameters["model_dir"] = str(options.checkpoint.resolve())
    versions = {name: version(name) for name in ("spleeter", "tensorflow")}
    document = {"descriptor": descriptor, "parameters": parameters, "versions": versions}
    (options.output / "configuration.json").write_text(json.dumps(document))
    np.savez(options.output / "variables.npz", **variables)


def _separate(options: argparse.Namespace) -> None:
    with np.load(options.songs) as file:
        songs = [file[f"arr_{place}"] for place in range(len(file.files))]
    for place, stems in enumerate(separated(options.configuration, songs)):
        arrays: dict[str, Any] = dict(stems)
        np.savez(options.output / f"{place}.npz", **arrays)


def _fetch(options: argparse.Namespace) -> None:
    """Straight to the downloader: its provider takes what a failed attempt left for a model."""
    try:
        ModelProvider.default().download(options.name, str(options.output))
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise CheckpointError(f"Spleeter could not fetch {options.name!r} ({error!r})") from error


def _random(options: argparse.Namespace) -> None:
    parameters = load_configuration(options.configuration)
    if options.filters:
        parameters["model"]["params"]["conv_n_filters"] = options.filters
    save_random_checkpoint(parameters, options.output, seed=options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="exporters.spleeter.original", description=__doc__)
    commands = parser.add_subparsers(required=True)

    read = commands.add_parser("read", help="a checkpoint's variables and its configuration")
    read.add_argument("--checkpoint", type=Path, required=True, help="directory")
    read.add_argument("--suffix", default="", help="-16kHz, or nothing")
    read.add_argument("--output", type=Path, required=True, help="directory")
    read.set_defaults(command=_read)

    separate = commands.add_parser("separate", help="songs to stems, by Separator")
    separate.add_argument("--configuration", type=Path, required=True, help="JSON file")
    separate.add_argument("--songs", type=Path, required=True, help=".npz")
    separate.add_argument("--output", type=Path, required=True, help="directory")
    separate.set_defaults(command=_separate)

    fetch = commands.add_parser("fetch", help="download one of Spleeter's models")
    fetch.add_argument("name")
    fetch.add_argument("--output", type=Path, required=True, help="directory")
    fetch.set_defaults(command=_fetch)

    random = commands.add_parser("random-checkpoint", help="weights from a seed, for tests")
    random.add_argument("--configuration", default="spleeter:4stems")
    random.add_argument("--filters", type=int, nargs=6, help="narrower than Spleeter's own")
    random.add_argument("--seed", type=int, default=0)
    random.add_argument("--output", type=Path, required=True, help="directory")
    random.set_defaults(command=_random)
    return parser


if __name__ == "__main__":
    sys.exit(main())
