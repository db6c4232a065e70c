"""Routes of accounts."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from gateway.accounts.schemas import (
    AccountResponse,
    RegisterRequest,
    TokenRequest,
    TokenResponse,
)
from gateway.dependencies import CurrentAccount, TheServices
from gateway.openapi import problems, schema_reference
from stemcore.errors import ErrorCode, InvalidInput

router = APIRouter(prefix="/v1", tags=["accounts"])

_FORM = "application/x-www-form-urlencoded"
_TOKEN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "grant_type": {"type": "string", "const": "password"},
                        "username": {"type": "string", "description": "The email address."},
                        "password": {"type": "string", "format": "password"},
                    },
                }
            },
            "application/json": {"schema": schema_reference(TokenRequest)},
        },
    }
}


@router.post(
    "/auth/register",
    status_code=201,
    summary="Register an account",
    responses=problems(
        ErrorCode.EMAIL_TAKEN,
        ErrorCode.WEAK_PASSWORD,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.REQUEST_TOO_LARGE,
        ErrorCode.SERVICE_UNAVAILABLE,
        protected=False,
    ),
)
async def register(body: RegisterRequest, services: TheServices) -> AccountResponse:
    """Create an account that can sign in at once."""
    account = await services.accounts.register(
        email=body.email, password=body.password, full_name=body.full_name
    )
    return AccountResponse.of(account)


@router.post(
    "/auth/token",
    summary="Sign in",
    openapi_extra=_TOKEN_BODY,
    responses=problems(
        ErrorCode.INVALID_CREDENTIALS,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.REQUEST_TOO_LARGE,
        ErrorCode.SERVICE_UNAVAILABLE,
        protected=False,
    ),
)
async def create_token(request: Request, services: TheServices) -> TokenResponse:
    """Get an access token, by the OAuth2 password form or by JSON."""
    body = await _token_request(request)
    token = await services.accounts.sign_in(email=body.address, password=body.password)
    return TokenResponse.of(token)


@router.get("/me", summary="Show the caller's account", responses=problems())
async def get_me(account: CurrentAccount) -> AccountResponse:
    """The account that the access token stands for."""
    return AccountResponse.of(account)


async def _token_request(request: Request) -> TokenRequest:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            return TokenRequest.model_validate_json(await request.body())
        if media_type == _FORM:
            return TokenRequest.model_validate(dict(await request.form()))
    except ValidationError as error:
        fields = [".".join(map(str, item["loc"])) for item in error.errors(include_input=False)]
        message = "Sign in with email (or username) and password."
        raise InvalidInput(ErrorCode.INVALID_REQUEST, message, details={"fields": fields}) from None
    raise InvalidInput(
        ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Sign in with {_FORM} or application/json."
    )
