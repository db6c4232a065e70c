"""python -m exporters.derive: another form of a verified model.

`half` writes the graph in mixed precision, measured; `plan` takes an engine that
scripts/build-engines built on this node, both for GPUs; `outputs` rounds what travels alone.
"""

import argparse
import sys
from pathlib import Path

from exporters.card_writer import ModelFolder
from exporters.errors import ExportError
from exporters.half_outputs import halve_model_outputs
from exporters.mixed_precision.bag_conversion import convert_bag
from exporters.mixed_precision.conversion import convert_model
from exporters.parity import Step
from exporters.profiles import PROFILES
from exporters.tensorrt_plan import install_plan

ONNX_PROFILES = sorted(
    name for name, profile in PROFILES.items() if profile.backend == "onnxruntime"
)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except ExportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _half(options: argparse.Namespace) -> int:
    source = ModelFolder(options.source / options.model)
    convert = convert_bag if source.read_card().parts else convert_model
    folder = convert(
        source,
        name=options.name,
        repository=options.repository,
        profile=options.profile,
        half_outputs=options.half_outputs,
    )
    card = folder.read_card()
    for figure in card.parity:
        if figure.step == Step.HALF:
            sys.stdout.write(f"{figure.signal:10} {figure.snr_db} dB {figure.worst_stem}\n")
    verdict = "passed" if card.parity_passed else "FAILED"
    sys.stdout.write(f"{folder.path}: {verdict}\n")
    return 0 if card.parity_passed else 1


def _outputs(options: argparse.Namespace) -> int:
    folder = halve_model_outputs(
        ModelFolder(options.source / options.model),
        name=options.name,
        repository=options.repository,
    )
    for figure in folder.read_card().parity:
        if figure.step == Step.HALF_OUTPUTS and figure.snr_db is not None:
            sys.stdout.write(f"{figure.signal:11} {figure.snr_db} dB {figure.worst_stem}\n")
    sys.stdout.write(f"{folder.path}: stems travel as fp16\n")
    return 0


def _plan(options: argparse.Namespace) -> int:
    folder = install_plan(
        ModelFolder(options.source / options.model),
        plan=options.plan,
        facts=options.facts,
        name=options.name,
        repository=options.repository,
    )
    sys.stdout.write(f"{folder.path}: built for {folder.read_card().provenance['gpu']}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporters.derive", description=__doc__)
    commands = parser.add_subparsers(required=True)
    half = commands.add_parser("half", help="the graph in mixed precision")
    half.add_argument("--profile", choices=ONNX_PROFILES, default="gpu-tensorrt")
    half.add_argument("--half-outputs", action="store_true", help="stems travel as fp16")
    half.set_defaults(command=_half)
    plan = commands.add_parser("plan", help="an engine for the tensorrt backend")
    plan.add_argument("--plan", type=Path, required=True, help="what tensorrt_build wrote")
    plan.add_argument("--facts", type=Path, required=True, help="what it wrote beside it")
    plan.set_defaults(command=_plan)
    outputs = commands.add_parser("outputs", help="the graph as it is, its stems as fp16")
    outputs.set_defaults(command=_outputs)
    for command in (half, plan, outputs):
        command.add_argument("model", help="name of the verified model")
        command.add_argument("--source", type=Path, required=True, help="its repository")
        command.add_argument("--name", required=True, help="of the new model")
        command.add_argument("--repository", type=Path, required=True, help="for the new model")
    return parser


if __name__ == "__main__":
    sys.exit(main())
