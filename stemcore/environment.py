"""A program's settings from its environment; apart, since not every reader of settings is one."""

import sys
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

Settings = TypeVar("Settings", bound=BaseSettings)

WRONG_SETTINGS = 2


def from_environment(kind: type[Settings], /, **given: Any) -> Settings:
    """A program's settings. Ends it with a line for each wrong one, without the values: some are
    secret."""
    prefix = kind.model_config.get("env_prefix", "")
    try:
        return kind(**given)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = "__".join(str(part).upper() for part in item["loc"])
            sys.stderr.write(f"{prefix}{name}: {item['msg']}\n")
    except SettingsError as error:
        sys.stderr.write(f"{prefix}...: {error}\n")
    raise SystemExit(WRONG_SETTINGS)
