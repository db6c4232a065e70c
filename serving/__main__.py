"""`python -m serving [run | check | load NAME | unload NAME]`, settings from the environment.

With `--runtime DIR` load and unload take those of the server that runs from there.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving import admin, command_line, launcher
from serving.errors import ServerMissing, ServingError
from serving.running import settings_of
from serving.settings import ServingSettings
from serving.wheel import Wheel
from stemcore.environment import from_environment
from stemcore.telemetry.logs import configure_logs


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; `run` does not come back."""
    chosen = _parser().parse_args(arguments)
    configure_logs(service="serving")
    try:
        _dispatch(chosen, _settings(chosen))
    except ServingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("run", help="verify the models and become tritonserver (the default)")
    verbs.add_parser("check", help="say whether the server's program runs on this machine")
    for verb in ("load", "unload"):
        command = verbs.add_parser(verb, help=f"{verb} one model at the running server")
        command.add_argument("name")
        command.add_argument("--runtime", type=Path, help="where the server runs from")
    return parser


def _settings(chosen: argparse.Namespace) -> ServingSettings:
    runtime: Path | None = getattr(chosen, "runtime", None)
    return from_environment(ServingSettings) if runtime is None else settings_of(runtime)


def _dispatch(chosen: argparse.Namespace, settings: ServingSettings) -> None:
    if chosen.verb == "check":
        _check(settings)
    elif chosen.verb == "load":
        sys.stdout.write(f"{chosen.name} loaded, digest {admin.load(chosen.name, settings)}\n")
    elif chosen.verb == "unload":
        admin.unload(chosen.name, settings)
        sys.stdout.write(f"{chosen.name} unloaded\n")
    else:
        launcher.run(settings)


def _check(settings: ServingSettings) -> None:
    """Raises ServerMissing with the loader's own words when a library is missing."""
    wheel = Wheel.find()
    environment = command_line.environment(settings, wheel=wheel)
    for command in ([wheel.server, "--help"], ["ldd", wheel.stub]):
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if found.returncode not in (0, 1) or "not found" in found.stdout + found.stderr:
            lines = (found.stdout + found.stderr).splitlines()
            complaint = [line.strip() for line in lines if "not found" in line or "error" in line]
            raise ServerMissing("\n".join(complaint) or f"{command[0]} does not run here")


if __name__ == "__main__":
    sys.exit(main())
