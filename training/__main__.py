"""`python -m training split | prepare | train | publish | evaluate | engines | …`."""

import argparse
import logging
import sys
from pathlib import Path

import torch

from synthesis import STEMS
from training import bank, batches, manifest, results, yardsticks
from training import model as models
from training.blending import blended
from training.engines import ENGINES_FILE, judge_engines, table
from training.errors import TrainingError
from training.results import RESULTS_FILE, evaluate_all
from training.trainer import RunFiles, Trainer, TrainingPlan, ValidationSet, run
from training.widening import widened

_CACHE = Path(".cache/training")
_HERE = Path(__file__).parent
WEIGHTS = _HERE / "weights" / "stemyard-mini.safetensors"
SERVED = Path("model_repository/stemyard-mini/1/model.onnx")
TRAINING_BANK = bank.BankPlan(sampled=420, synthetic=120, low_melodic=180, duration_s=14.0)
FURTHER_BANK = bank.BankPlan(varied=600, duration_s=14.0)
VALIDATION_BANK = bank.BankPlan(sampled=10, synthetic=2, duration_s=14.0, validation=True)
_BANKS = {"validation": VALIDATION_BANK, "training": TRAINING_BANK, "further": FURTHER_BANK}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 1 when it fails or the model does not pass."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        return options.verb(options)
    except TrainingError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="training", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    split = verbs.add_parser("split", help="write the manifest of training and held-out sources")
    split.set_defaults(verb=_split)
    prepare = verbs.add_parser("prepare", help="render the bank of training stems (5 GB)")
    prepare.add_argument("--cache", type=Path, default=_CACHE)
    prepare.add_argument("--workers", type=int, default=2)
    prepare.set_defaults(verb=_prepare)
    train = verbs.add_parser("train", help="train stemyard-mini, or go on where it stopped")
    train.add_argument("--cache", type=Path, default=_CACHE)
    train.add_argument("--run", default="mini")
    train.add_argument("--minutes", type=float, default=160.0, help="active time of the whole run")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--learning-rate", type=float, default=TrainingPlan().learning_rate)
    train.add_argument("--start", type=Path, help="weights to start from, instead of chance")
    train.add_argument("--channels", type=int, default=models.CHANNELS, help="of a new model")
    train.add_argument("--workers", type=int, default=TrainingPlan().workers, help="a core each")
    train.add_argument(
        "--excerpts", type=int, default=TrainingPlan().excerpts, help="of each worker in a step"
    )
    train.add_argument("--far", action="store_true", help="stray further from the bank's sounds")
    train.add_argument(
        "--stem-weights",
        type=float,
        nargs=len(STEMS),
        default=TrainingPlan().stem_weights,
        metavar=STEMS,
        help="what a stem's error weighs",
    )
    train.set_defaults(verb=_train)
    _add_of_weights(verbs)
    evaluate = verbs.add_parser("evaluate", help="judge weights on the held-out songs")
    evaluate.add_argument("--weights", type=Path, default=WEIGHTS)
    evaluate.add_argument("--songs", type=int, default=manifest.HELD_OUT_SONGS)
    evaluate.add_argument("--workers", type=int, default=2)
    evaluate.add_argument("--results", type=Path, default=RESULTS_FILE)
    evaluate.set_defaults(verb=_evaluate)
    engines = verbs.add_parser("engines", help="judge a served file by every engine there is")
    engines.add_argument("--weights", type=Path, default=WEIGHTS)
    engines.add_argument("--model", type=Path, default=SERVED, help="exported from the weights")
    engines.add_argument("--half", type=Path, help="the model in mixed precision, for GPUs")
    engines.add_argument("--songs", type=int, default=manifest.HELD_OUT_SONGS)
    engines.add_argument("--workers", type=int, default=2)
    engines.add_argument("--results", type=Path, default=ENGINES_FILE)
    engines.set_defaults(verb=_engines)
    fit = verbs.add_parser("fit-equaliser", help="fit the yardstick on the sampled training songs")
    fit.add_argument("--cache", type=Path, default=_CACHE)
    fit.set_defaults(verb=_fit_equaliser)
    publish = verbs.add_parser("publish", help="make a run's averaged weights the bundled ones")
    publish.add_argument("--cache", type=Path, default=_CACHE)
    publish.add_argument("--run", default="mini")
    publish.set_defaults(verb=_publish)
    return parser


def _add_of_weights(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What makes other weights of trained ones."""
    widen = verbs.add_parser("widen", help="double the channels of weights, to start a run from")
    widen.add_argument("--weights", type=Path, default=WEIGHTS)
    widen.add_argument("--output", type=Path, default=_CACHE / "widened.safetensors")
    widen.add_argument("--seed", type=int, default=1)
    widen.set_defaults(verb=_widen)
    blend = verbs.add_parser("blend", help="weights between a run's and another's")
    blend.add_argument("--cache", type=Path, default=_CACHE)
    blend.add_argument("--run", required=True)
    blend.add_argument("--other", required=True, help="run that it descends from")
    blend.add_argument("--share", type=float, default=0.1, help="of the other's weights")
    blend.add_argument("--name", default="blended", help="of the run that holds the outcome")
    blend.set_defaults(verb=_blend)


def _split(_: argparse.Namespace) -> int:
    manifest.save(manifest.draw())
    return 0


def _prepare(options: argparse.Namespace) -> int:
    sources = manifest.load()
    for name, plan in _BANKS.items():
        root = options.cache / "bank" / name
        bank.prepare(root, plan, sources, workers=options.workers)
    return 0


def _train(options: argparse.Namespace) -> int:
    plan = TrainingPlan(
        seed=options.seed,
        budget_s=60 * options.minutes,
        learning_rate=options.learning_rate,
        stem_weights=tuple(options.stem_weights),
        workers=options.workers,
        excerpts=options.excerpts,
    )
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    banks = [bank.load(options.cache / "bank" / name) for name in ("training", "further")]
    remix = batches.FAR if options.far else batches.Remix()
    mixer = batches.Mixer(banks=banks, remix=remix, seed=plan.seed)
    files = RunFiles(
        checkpoint=options.cache / f"{options.run}.checkpoint",
        curve=_HERE / "curves" / f"{options.run}.csv",
        weights=options.cache / f"{options.run}.safetensors",
    )
    start = options.start
    model = models.load(start) if start else models.untrained(channels=options.channels)
    trainer = Trainer(plan, mixer, model)
    run(trainer, plan, _validation(bank.load(options.cache / "bank" / "validation")), files)
    return 0


def _widen(options: argparse.Namespace) -> int:
    twin = widened(models.load(options.weights), seed=options.seed)
    models.save(twin, twin.state_dict(), options.output)
    return 0


def _blend(options: argparse.Namespace) -> int:
    runs = (options.run, options.other)
    model, other = (models.load(options.cache / f"{run}.safetensors") for run in runs)
    weights = blended(model, other, share=options.share)
    told = f"{options.share} of {options.other}, the rest of {options.run}"
    models.save(model, weights, options.cache / f"{options.name}.safetensors", blend=told)
    return 0


def _fit_equaliser(options: argparse.Namespace) -> int:
    songs = bank.load(options.cache / "bank" / "training")
    yardsticks.save_equaliser(yardsticks.fit_equaliser(songs.sampled_songs()))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    evaluation = evaluate_all(options.weights, song_count=options.songs, workers=options.workers)
    command = ("python", "-m", "training", *sys.argv[1:])
    content = results.document(evaluation, weights=options.weights, command=command)
    results.save(content, options.results)
    sys.stdout.write(results.table(content))
    return 0 if evaluation.passed else 1


def _engines(options: argparse.Namespace) -> int:
    content = judge_engines(
        options.weights,
        options.model,
        half=options.half,
        song_count=options.songs,
        workers=options.workers,
        command=("python", "-m", "training", *sys.argv[1:]),
    )
    results.save(content, options.results)
    sys.stdout.write(table(content))
    return 0


def _publish(options: argparse.Namespace) -> int:
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    WEIGHTS.write_bytes((options.cache / f"{options.run}.safetensors").read_bytes())
    return 0


def _validation(songs: bank.Bank) -> ValidationSet:
    """The first segment of every validation song."""
    length = int(models.SEGMENT_S * 44_100)
    stems = torch.stack(
        [
            torch.stack(
                [
                    torch.from_numpy(songs.excerpt(stem, item, start=0, samples=length))
                    for stem in STEMS
                ]
            )
            for item in range(songs.plan.items)
        ]
    )
    return ValidationSet(mix=stems.sum(dim=1), stems=stems)


if __name__ == "__main__":
    sys.exit(main())
