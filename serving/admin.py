"""Load and unload at a running server, through its restricted API."""

from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from serving import inspection, launcher, staging
from serving.command_line import ADMIN_HEADER
from serving.errors import AdminRequestFailed, ModelRefused, RefusalReason
from serving.settings import ServingSettings

# Triton prefixes the header of a restricted protocol, in gRPC alone.
GRPC_ADMIN_HEADER = f"triton-grpc-protocol-{ADMIN_HEADER}"

_LOAD_TIMEOUT_S = 120.0


def load(name: str, settings: ServingSettings) -> str:
    """Verifies and stages the model, then has the server (re)load it. Returns the model's digest.

    A bag is loaded with its parts, and they only with it. Raises ModelRefused or
    AdminRequestFailed.
    """
    _refuse_part(name, settings)
    model = launcher.stage_one(name, settings)
    _ask("load_model", name, settings)
    return model.card.digest


def unload(name: str, settings: ServingSettings) -> None:
    """Requests under way are finished by the server first. Raises AdminRequestFailed."""
    _ask("unload_model", name, settings, unload_dependents=True)
    staging.remove(launcher.staged_repository(settings), model=name)


def _refuse_part(name: str, settings: ServingSettings) -> None:
    """The bag's card vouches for all of its parts at once."""
    bag = inspection.bag_of(settings.repository / name)
    if bag is not None and (settings.repository / bag).exists():
        detail = f"{name} is part of {bag}: load that"
        raise ModelRefused(RefusalReason.PART_ALONE, detail)


def _ask(verb: str, name: str, settings: ServingSettings, **choices: bool) -> None:
    try:
        headers = {GRPC_ADMIN_HEADER: launcher.admin_secret(settings)}
    except FileNotFoundError as error:
        raise AdminRequestFailed(f"no server has run from {settings.runtime}") from error
    client: Any = triton.InferenceServerClient(f"{settings.host}:{settings.ports.grpc}")
    try:
        getattr(client, verb)(name, headers=headers, client_timeout=_LOAD_TIMEOUT_S, **choices)
    except InferenceServerException as error:
        raise AdminRequestFailed(str(error)) from error
    finally:
        client.close()
