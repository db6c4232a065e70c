"""From settings to a running server: verify, stage, and become tritonserver."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import structlog

from serving import command_line, engines, gpus, inspection, shared_memory, staging
from serving.engines import Machine
from serving.errors import ModelRefused
from serving.gpus import Accelerators
from serving.inspection import VerifiedModel
from serving.running import leave_settings
from serving.settings import ServingSettings
from serving.wheel import Wheel, assemble_backends

_log = structlog.get_logger(__name__)


def run(settings: ServingSettings) -> NoReturn:
    """Replaces this process by the server, so that whoever started us sees its death as ours."""
    wheel = Wheel.find()
    settings.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    models = stage_verified(settings)
    arguments = command_line.arguments(
        settings,
        models=models,
        repository=staged_repository(settings),
        backends=assemble_backends(wheel, directory=settings.runtime / "backends"),
        admin_secret=renew_admin_secret(settings),
        region_prefix=shared_memory.region_prefix(os.getpid()),
    )
    if removed := shared_memory.remove_stale_regions():
        _log.info("stale_shared_memory_removed", regions=len(removed))
    leave_settings(settings)
    _log.info("server_starting", models=models, ports=settings.ports.model_dump())
    os.execve(  # noqa: S606 - no shell wanted
        wheel.server,
        [str(wheel.server), *arguments],
        command_line.environment(settings, wheel=wheel),
    )


def stage_verified(settings: ServingSettings) -> Sequence[str]:
    """Stages every good model and names them; each refused one is logged and left out.

    A bag brings its parts, which are not loaded without it.
    """
    staging.clear(staged_repository(settings))
    wanted = settings.models
    if wanted is None:
        wanted = inspection.model_names(settings.repository)
    return [
        name
        for name in wanted
        if inspection.bag_of(settings.repository / name) not in wanted
        and _staged_or_refused(name, settings)
    ]


def stage_one(name: str, settings: ServingSettings) -> VerifiedModel:
    """A bag with its parts. Raises ModelRefused; nothing of a refused model stays staged."""
    staging.remove(staged_repository(settings), model=name)
    model = engines.fitted(
        inspection.verify(settings.repository / name),
        Machine.found(model_cache=settings.runtime / "compiled"),
        wanted=lambda each: settings.tuning_of(each).engine,
    )
    if gpus.wanted_by(model):
        gpus.check(model, Accelerators.found())
    for each in (*model.parts, model):
        shares = staging.stage(
            each,
            staged_repository=staged_repository(settings),
            tuning=settings.tuning_of(each.name),
            warm_up=settings.warm_up,
            engine_cache=settings.engine_cache,
        )
        # A bag itself computes nothing.
        if not each.parts:
            _log.info("model_staged", model=each.name, **asdict(shares))
    return model


def _staged_or_refused(name: str, settings: ServingSettings) -> bool:
    try:
        model = stage_one(name, settings)
    except ModelRefused as refusal:
        _log.error("model_refused", model=name, reason=refusal.reason.value, detail=str(refusal))
        return False
    card = model.card
    served = {"engine": card.engine, "precision": card.precision}
    _log.info("model_verified", model=name, digest=card.digest, **served)
    return True


def staged_repository(settings: ServingSettings) -> Path:
    return settings.runtime / "repository"


def admin_secret(settings: ServingSettings) -> str:
    """The secret of the running server; raises FileNotFoundError when none was ever started."""
    if settings.admin_secret is not None:
        return settings.admin_secret.get_secret_value()
    return _secret_file(settings).read_text()


def renew_admin_secret(settings: ServingSettings) -> str:
    """The given secret, or a fresh one, left for `admin_secret` in a file of this user alone."""
    if settings.admin_secret is not None:
        return settings.admin_secret.get_secret_value()
    path = _secret_file(settings)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def _secret_file(settings: ServingSettings) -> Path:
    return settings.runtime / "admin-secret"
