"""python -m exporters: export a checkpoint, verify the export, make a random checkpoint."""

import argparse
import logging
import sys
from pathlib import Path

from exporters.card_writer import ModelFolder
from exporters.errors import ExportError
from exporters.export import export_model
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.profiles import PROFILES
from exporters.reference import ModelFacts, Reference
from exporters.registry import FAMILIES
from exporters.verification import verify_model
from stemcore import strict_json
from stemcore.model_card import CardError, ParityFigure


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        return options.command(options)
    except ExportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _export(options: argparse.Namespace) -> int:
    folder = export_model(
        _load(options.family, options),
        name=options.name,
        repository=options.repository,
        profile=options.profile,
        threads=options.threads,
    )
    size_mb = folder.model.stat().st_size / 1e6
    sys.stdout.write(f"{folder.model}: {size_mb:.1f} MB, not verified yet\n")
    return 0


def _verify(options: argparse.Namespace) -> int:
    folder = ModelFolder(options.repository / options.name)
    reference = _load(folder.read_card().family, options)
    card = verify_model(folder, name=options.name, reference=reference)
    for figure in card.parity:
        sys.stdout.write(f"{_line(figure)}\n")
    verdict = "passed" if card.parity_passed else "FAILED"
    sys.stdout.write(f"{options.name}: {verdict}, {card.files}\n")
    return 0 if card.parity_passed else 1


def _random_checkpoint(options: argparse.Namespace) -> int:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    model = random_htdemucs(seed=options.seed, **SIZES[options.size])
    save_checkpoint(model, options.output, provenance={TRAINED_ON: RANDOM_WEIGHTS})
    return 0


def _load(family: str, options: argparse.Namespace) -> Reference:
    facts = None if options.facts is None else _read_facts(options.facts)
    load = FAMILIES[family]
    return load(options.checkpoint, trust_pickle=options.trust_pickle, facts=facts)


def _read_facts(path: Path) -> ModelFacts:
    try:
        return strict_json.load(ModelFacts, path.read_text())
    except (OSError, strict_json.StrictJsonError, CardError) as error:
        raise ExportError(f"{path}: {error}") from error


def _line(figure: ParityFigure) -> str:
    verdict = "ok  " if figure.passed else "FAIL"
    if figure.snr_db is not None:
        measured = f"{figure.snr_db:6.1f} dB (at least {figure.required_db:.1f})"
    else:
        measured = f"{figure.abs_error:.1e} (at most {figure.allowed_abs_error:.0e})"
    return f"{verdict} {figure.step:36} {figure.signal:10} {measured} {figure.worst_stem}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    commands = parser.add_subparsers(required=True)

    export = commands.add_parser("export", help="checkpoint to model folder")
    export.add_argument("family", choices=sorted(FAMILIES))
    export.add_argument("--name", required=True, help="Triton model name")
    export.add_argument("--profile", choices=sorted(PROFILES), default="cpu")
    export.add_argument("--threads", type=int, default=0, help="per instance; 0: all cores")
    _add_common(export)
    export.set_defaults(command=_export)

    verify = commands.add_parser("verify", help="compare a model folder with its checkpoint")
    verify.add_argument("name", help="Triton model name")
    _add_common(verify)
    verify.set_defaults(command=_verify)

    random = commands.add_parser("random-checkpoint", help="weights from a seed, for tests")
    random.add_argument("--size", choices=sorted(SIZES), default="tiny")
    random.add_argument("--seed", type=int, default=0)
    random.add_argument("--output", type=Path, required=True)
    random.set_defaults(command=_random_checkpoint)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--checkpoint", required=True, help="file, or one of Demucs' names")
    command.add_argument("--repository", type=Path, required=True, help="Triton model repository")
    command.add_argument("--facts", type=Path, help="JSON: description, licences, evidence")
    command.add_argument(
        "--trust-pickle", action="store_true", help="let a .th file run code as it loads"
    )


if __name__ == "__main__":
    sys.exit(main())
