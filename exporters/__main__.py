"""python -m exporters: pull or export a model, verify the export, annotate its card."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from exporters.bag import exported, verified
from exporters.card_writer import ModelFolder
from exporters.engine_evidence import judged_engines
from exporters.errors import CheckpointError, ExportError, ModelFolderError
from exporters.export import annotate_model
from exporters.facts import read_facts
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.profiles import PROFILES
from exporters.pull import install, served_name
from exporters.reference import BagReference, Reference
from exporters.registry import FAMILIES, SPECIALISTS, loader_of
from stemcore.model_card import ModelCard, ParityFigure


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        return options.command(options)
    except ExportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _export(options: argparse.Namespace) -> int:
    reference = _load(options.family, options)
    card = exported(reference, name=options.name, **_choices(options)).read_card()
    for name in card.parts or [card.name]:
        model = ModelFolder(options.repository / name).model
        size_mb = model.stat().st_size / 1e6
        sys.stdout.write(f"{model}: {size_mb:.1f} MB, not verified yet\n")
    return 0


def _pull(options: argparse.Namespace) -> int:
    load, source = loader_of(options.model)
    name = options.name or served_name(options.model)
    cards = install(load(source), name=name, **_choices(options))
    for card in cards:
        _told(card)
    sys.stdout.write(f"{options.repository / name}: installed\n")
    return 0


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "repository": options.repository,
        "profile": options.profile,
        "threads": options.threads,
        "facts": options.facts and read_facts(options.facts),
    }


def _verify(options: argparse.Namespace) -> int:
    folder = ModelFolder(options.repository / options.name)
    written = folder.read_card()
    if written.part_of is not None:
        raise ModelFolderError(f"{options.name} is part of {written.part_of}: verify that")
    reference = _load(written.family, options)
    verdicts = [_told(card) for card in verified(folder, name=options.name, reference=reference)]
    return 0 if all(verdicts) else 1


def _told(card: ModelCard) -> bool:
    for figure in card.parity:
        sys.stdout.write(f"{_line(figure)}\n")
    for engine in card.engines:
        for figure in engine.parity:
            sys.stdout.write(f"{_line(figure)}\n")
        may = "may" if engine.passed else "may not"
        sys.stdout.write(f"{engine.engine} {engine.precision} {may} serve it\n")
    verdict = "passed" if card.parity_passed else "FAILED"
    sys.stdout.write(f"{card.name}: {verdict}, {card.files or card.parts}\n")
    return card.parity_passed


def _random_checkpoint(options: argparse.Namespace) -> int:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    model = random_htdemucs(seed=options.seed, **SIZES[options.size])
    save_checkpoint(model, options.output, provenance={TRAINED_ON: RANDOM_WEIGHTS})
    return 0


def _annotate(options: argparse.Namespace) -> int:
    folder = ModelFolder(options.repository / options.name)
    card = annotate_model(folder, facts=options.facts, evidence=options.evidence)
    if options.engines is not None:
        folder.write(judged_engines(card, options.engines), threads=folder.read_threads())
    return 0


def _load(family: str, options: argparse.Namespace) -> Reference | BagReference:
    if family not in FAMILIES:
        raise ModelFolderError(f"the family {family!r} is none of {', '.join(FAMILIES)}")
    first, *others = options.checkpoint
    if not others:
        return FAMILIES[family](first, trust_pickle=options.trust_pickle)
    if family not in SPECIALISTS:
        raise CheckpointError(f"{family} takes one checkpoint")
    return SPECIALISTS[family](options.checkpoint, trust_pickle=options.trust_pickle)


def _line(figure: ParityFigure) -> str:
    verdict = "ok  " if figure.passed else "FAIL"
    if figure.snr_db is not None:
        measured = f"{figure.snr_db:6.1f} dB (at least {figure.required_db:.1f})"
    else:
        measured = f"{figure.abs_error:.1e} (at most {figure.allowed_abs_error:.0e})"
    return f"{verdict} {figure.step:46} {figure.signal:10} {measured} {figure.worst_stem}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporters", description=__doc__)
    commands = parser.add_subparsers(required=True)

    export = commands.add_parser("export", help="checkpoint to model folder")
    export.add_argument("family", choices=sorted(FAMILIES))
    export.add_argument("--name", required=True, help="Triton model name")
    _add_choices(export)
    _add_checkpoint(export)
    export.set_defaults(command=_export)

    pull = commands.add_parser("pull", help="fetch a published model, export, verify, install")
    pull.add_argument("model", help="htdemucs, htdemucs_6s, htdemucs_ft, spleeter:4stems, ...")
    pull.add_argument("--name", help="Triton model name; without one the model's own")
    _add_choices(pull)
    pull.set_defaults(command=_pull)

    verify = commands.add_parser("verify", help="compare a model folder with its checkpoint")
    verify.add_argument("name", help="Triton model name")
    _add_repository(verify)
    _add_checkpoint(verify)
    verify.set_defaults(command=_verify)

    annotate = commands.add_parser("annotate", help="new words or figures for a card")
    annotate.add_argument("name", help="Triton model name")
    annotate.add_argument("--evidence", type=Path, help="what `training evaluate` recorded")
    annotate.add_argument("--engines", type=Path, help="what `training engines` recorded")
    _add_repository(annotate)
    _add_facts(annotate)
    annotate.set_defaults(command=_annotate)

    random = commands.add_parser("random-checkpoint", help="weights from a seed, for tests")
    random.add_argument("--size", choices=sorted(SIZES), default="tiny")
    random.add_argument("--seed", type=int, default=0)
    random.add_argument("--output", type=Path, required=True)
    random.set_defaults(command=_random_checkpoint)
    return parser


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", choices=sorted(PROFILES), default="cpu")
    command.add_argument("--threads", type=int, default=0, help="per instance; 0: all cores")
    _add_repository(command)
    _add_facts(command)


def _add_repository(command: argparse.ArgumentParser) -> None:
    command.add_argument("--repository", type=Path, required=True, help="Triton model repository")


def _add_facts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--facts", type=Path, help="JSON: description, licences, provenance")


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--checkpoint",
        required=True,
        nargs="+",
        help="file, a bag's yaml or folder, or one of Demucs' names; or a file for each stem",
    )
    command.add_argument(
        "--trust-pickle", action="store_true", help="let a .th file run code as it loads"
    )


if __name__ == "__main__":
    sys.exit(main())
