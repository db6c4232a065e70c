"""Routes for monitors and load balancers."""

from fastapi import APIRouter

from gateway.dependencies import TheServices
from gateway.health.schemas import AliveResponse, HealthResponse, ReadyResponse
from gateway.openapi import problems
from gateway.version import VERSION
from stemcore.errors import ErrorCode, Unavailable

router = APIRouter(tags=["health"])


@router.get("/v1/health", summary="Show the state of the service")
async def get_health(services: TheServices) -> HealthResponse:
    """Version, dependencies and models; always 200 while the process answers."""
    return HealthResponse.of(await services.health.check(), version=VERSION)


@router.get("/healthz/live", summary="Is the process alive")
async def get_live() -> AliveResponse:
    """Touches nothing."""
    return AliveResponse()


@router.get(
    "/healthz/ready",
    summary="Can requests be served",
    responses=problems(ErrorCode.SERVICE_UNAVAILABLE, protected=False),
)
async def get_ready(services: TheServices) -> ReadyResponse:
    """503, naming what is missing, until database, storage and one usable model are there.

    Kafka is not among them: a 202 needs none, so its absence is a warning.
    """
    health = await services.health.check()
    if health.missing:
        raise Unavailable(
            ErrorCode.SERVICE_UNAVAILABLE,
            f"Not ready: {', '.join(health.missing)}.",
            details={"missing": dict(health.missing)},
        )
    return ReadyResponse(warnings=dict(health.weakened))
