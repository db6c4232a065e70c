"""How endpoints get at what the composition root has built."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request
from fastapi.security import OAuth2PasswordBearer

from gateway.accounts.account import Account
from gateway.composition import Services
from gateway.errors import Unauthenticated
from stemcore.errors import ErrorCode, NotFound
from stemcore.telemetry.context import about

_bearer = OAuth2PasswordBearer(
    tokenUrl="/v1/auth/token",
    scheme_name="accessToken",
    description="The access token of `POST /v1/auth/token`.",
    auto_error=False,
)


def services_of(request: Request) -> Services:
    """The services that the lifespan has put into the state."""
    state: Any = request.state
    return state.services


TheServices = Annotated[Services, Depends(services_of)]


async def current_account(
    services: TheServices, token: Annotated[str | None, Depends(_bearer)]
) -> Account:
    """The caller's account; raises Unauthenticated."""
    if token is None:
        raise Unauthenticated(ErrorCode.INVALID_TOKEN, "This needs an access token.")
    account = await services.accounts.account_of(token)
    about(account_id=account.id)
    return account


CurrentAccount = Annotated[Account, Depends(current_account)]


async def parse_job_id(
    job_id: Annotated[
        str, Path(description="The job's id.", examples=["019a6d3c-6d0a-7c1e-8c54-a4ad6fd7b3f1"])
    ],
) -> UUID:
    """The id in the path; to clients it is opaque, so a malformed one is simply nobody's."""
    try:
        parsed = UUID(job_id)
    except ValueError:
        raise NotFound(ErrorCode.JOB_NOT_FOUND, "There is no such job.") from None
    about(job_id=parsed)
    return parsed


JobId = Annotated[UUID, Depends(parse_job_id)]
