"""Routes of models and presets."""

from typing import Annotated

from fastapi import APIRouter, Path

from gateway.catalogue.schemas import ModelListResponse, ModelResponse, PresetListResponse
from gateway.dependencies import TheServices
from gateway.openapi import problems
from stemcore.errors import ErrorCode

router = APIRouter(prefix="/v1", tags=["models"])


@router.get(
    "/models",
    summary="List the models",
    responses=problems(ErrorCode.ENGINE_UNAVAILABLE, protected=False),
)
async def list_models(services: TheServices) -> ModelListResponse:
    """The cards of all models that the inference server has loaded, refused ones too."""
    models = await services.catalogue.models()
    return ModelListResponse(
        items=[ModelResponse.of(model) for model in models],
        default_model=services.settings.default_model,
    )


@router.get(
    "/models/{name}",
    summary="Show a model",
    responses=problems(
        ErrorCode.MODEL_NOT_FOUND,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.ENGINE_UNAVAILABLE,
        protected=False,
    ),
)
async def get_model(
    services: TheServices,
    name: Annotated[str, Path(max_length=200, examples=["stemyard-mini"])],
) -> ModelResponse:
    """One model card."""
    return ModelResponse.of(await services.catalogue.model(name))


@router.get(
    "/presets",
    summary="List the presets",
    responses=problems(ErrorCode.ENGINE_UNAVAILABLE, protected=False),
)
async def list_presets(services: TheServices) -> PresetListResponse:
    """What songs are taken apart for, and which model each preset takes now."""
    return PresetListResponse.of(await services.catalogue.models())
