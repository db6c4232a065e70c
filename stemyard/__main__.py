"""`python -m stemyard demo | up`; the command line proper will live in stemyard/cli/."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from stemcore.environment import from_environment
from stemyard.client import ClientError
from stemyard.demo import DEMO_SECONDS, DemoFailed, DemoOrder, run_demo
from stemyard.stack.errors import StackError
from stemyard.stack.settings import FullStackSettings, StackSettings
from stemyard.up import stay_up

_INTERRUPTED = 130
_STACKS = {"one-machine": StackSettings, "full": FullStackSettings}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    chosen = _parser().parse_args(arguments)
    # Names of files are shown as they are: brackets in them are no markup.
    console = Console(markup=False)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if chosen.verb == "demo":
        if chosen.song is not None and not chosen.song.is_file():
            sys.stderr.write(f"{chosen.song}: no such file\n")
            return 2
        return _run(run_demo(_order(chosen), console=console))
    return _run(stay_up(_settings(chosen, demo_account=True), console=console))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stemyard", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    demo = verbs.add_parser("demo", help="separate one song and stop again")
    demo.add_argument("--song", type=Path, help="any audio file; without it one is synthesised")
    demo.add_argument("--preset", help="what for: karaoke, vocals, drums, practice, best, fast")
    demo.add_argument("--seconds", type=float, default=DEMO_SECONDS, help="of the synthesised one")
    demo.add_argument("--out", type=Path, default=Path("out"))
    up = verbs.add_parser("up", help="stay up until Ctrl-C")
    for verb in (demo, up):
        verb.add_argument("--stack", choices=_STACKS, default="one-machine")
        verb.add_argument("--model", help="a model of the repository")
        verb.add_argument("--repository", type=Path, help="Triton model repository")
    return parser


def _order(chosen: argparse.Namespace) -> DemoOrder:
    return DemoOrder(
        song=chosen.song,
        preset=chosen.preset,
        model=chosen.model,
        out=chosen.out,
        seconds=chosen.seconds,
        stack=_demo_stack(chosen),
    )


def _demo_stack(chosen: argparse.Namespace) -> StackSettings:
    if chosen.model is not None:
        # One model is loaded faster, and into less memory, than a repository of them.
        return _settings(chosen, durable=False, models=(chosen.model,))
    stack = _settings(chosen, durable=False)
    there = sorted(config.parent.name for config in stack.repository.glob("*/config.pbtxt"))
    if chosen.preset is None or stack.default_model in there or not there:
        return stack
    # The preset chooses: the stack's own default need not be among them.
    return stack.model_copy(update={"default_model": there[0]})


def _settings(chosen: argparse.Namespace, **changes: Any) -> StackSettings:
    given = {"default_model": chosen.model, "repository": chosen.repository}
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return from_environment(_STACKS[chosen.stack], **named, **changes)


def _run(work: Coroutine[None, None, None]) -> int:
    # Shells start background jobs with interrupts ignored; whoever sends us one means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(_until_told(work))
    except (StackError, ClientError, DemoFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return _INTERRUPTED
    return 0


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """SIGTERM and a closed terminal end it as Ctrl-C does: in order, nothing left behind."""
    for told in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(told, signal.raise_signal, signal.SIGINT)
    await work


if __name__ == "__main__":
    sys.exit(main())
