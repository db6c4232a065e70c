"""Health as JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.health.service import Health


class DependencyState(BaseModel):
    """One thing the gateway needs."""

    ok: bool
    reason: str | None


class ModelState(BaseModel):
    """One loaded model."""

    name: str
    ready: bool
    usable: bool
    refusal: str | None
    engine: str
    profile: str


class HealthResponse(BaseModel):
    """The service's own view of itself; `degraded` when something it needs is away."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "ok",
                "version": "0.1.0",
                "dependencies": {
                    "database": {"ok": True, "reason": None},
                    "engine": {"ok": True, "reason": None},
                    "storage": {"ok": True, "reason": None},
                },
                "models": [
                    {
                        "name": "stemyard-mini",
                        "ready": True,
                        "usable": True,
                        "refusal": None,
                        "engine": "onnxruntime",
                        "profile": "cpu",
                    }
                ],
            }
        }
    )

    status: Literal["ok", "degraded"]
    version: str
    dependencies: dict[str, DependencyState]
    models: list[ModelState]

    @classmethod
    def of(cls, health: Health, *, version: str) -> "HealthResponse":
        """The JSON form."""
        return cls(
            status="degraded" if health.missing or health.weakened else "ok",
            version=version,
            dependencies={
                name: DependencyState(ok=reason is None, reason=reason)
                for name, reason in health.complaints.items()
            },
            models=[
                ModelState(
                    name=model.card.name,
                    ready=model.ready,
                    usable=model.usable,
                    refusal=model.refusal,
                    engine=model.card.engine,
                    profile=model.card.profile,
                )
                for model in health.models
            ],
        )


class AliveResponse(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyResponse(BaseModel):
    """Requests can be served; `warnings` name what only delays the jobs that are accepted."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok", "warnings": {}}})

    status: Literal["ok"] = "ok"
    warnings: dict[str, str] = {}
