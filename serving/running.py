"""What a server was started with, left in its runtime for whoever loads a model there."""

import json
from pathlib import Path

from serving.errors import AdminRequestFailed
from serving.settings import ServingSettings

_FILE = "settings.json"
_SECRETS = {"admin_secret", "shared_memory_secret"}


def leave_settings(settings: ServingSettings) -> None:
    """All but the secrets, which have a file of their own or come by the environment."""
    path = settings.runtime / _FILE
    path.write_text(settings.model_dump_json(exclude=_SECRETS))


def settings_of(runtime: Path) -> ServingSettings:
    """Those of the server that runs from there; raises AdminRequestFailed when none ever did."""
    try:
        text = (runtime / _FILE).read_text()
    except FileNotFoundError as error:
        raise AdminRequestFailed(f"no server has run from {runtime}") from error
    return ServingSettings(**json.loads(text))
