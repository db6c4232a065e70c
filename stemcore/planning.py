"""From what a client asks for to what the models there are can do."""

from collections.abc import Sequence

from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.model_card import ModelCard
from stemcore.presets import Preset, choose_for, find_preset, options_for
from stemcore.separation_request import (
    AudioFormat,
    ClipMode,
    OutputOptions,
    SeparationRequest,
)
from stemcore.stem_choice import MadeBy, chosen_names, wanted_files
from stemcore.submission import OutputFields, SubmissionFields

FLOAT_BIT_DEPTH = 32


def plan(
    fields: SubmissionFields, models: Sequence[ServedModel], *, default_model: str
) -> SeparationRequest:
    """The request to run; raises InvalidInput for what no model here can do."""
    fields = with_preset(fields, models)
    model = choose_model(fields.model, models, default_model=default_model)
    request = SeparationRequest(
        model=model.card.name,
        stems=choose_stems(fields.stems, model),
        output=_output(fields.output),
        overlap=fields.overlap,
        clip=_clip(fields.clip, fields.output),
        complement=fields.complement,
        shifts=fields.shifts,
        seed=fields.seed,
        consistency=fields.consistency,
        preset=fields.preset,
    )
    require_runnable(request, model.card)
    return request


def with_preset(fields: SubmissionFields, models: Sequence[ServedModel]) -> SubmissionFields:
    """The fields with what their preset adds; what is given beside the preset stays as given."""
    if fields.preset is None:
        return fields
    preset = find_preset(fields.preset)
    stems = fields.stems if "stems" in fields.model_fields_set else preset.stems
    if fields.model is None:
        model = _preset_model(preset, models, stems=stems)
    else:
        model = _named(fields.model, models)
    given = fields.model_dump(exclude_unset=True) | {"model": model.card.name, "stems": stems}
    return SubmissionFields.model_validate({**options_for(preset, model.card), **given})


def _preset_model(
    preset: Preset, models: Sequence[ServedModel], *, stems: tuple[str, ...]
) -> ServedModel:
    if found := choose_for(preset, models, stems=stems):
        return found
    if not any(model.refusal is None for model in models):
        raise _nothing_loaded()
    raise InvalidInput(
        ErrorCode.PRESET_UNAVAILABLE,
        f"No model that may be used makes what the preset {preset.name!r} is for.",
        details={"preset": preset.name, "stems": list(stems), "models": _allowed_names(models)},
    )


def choose_model(
    name: str | None, models: Sequence[ServedModel], *, default_model: str
) -> ServedModel:
    """The model of that name; without one the default, or the only one that may be used."""
    return _default(default_model, models) if name is None else _named(name, models)


def _named(name: str, models: Sequence[ServedModel]) -> ServedModel:
    by_name = {model.card.name: model for model in models}
    if name not in by_name:
        raise InvalidInput(
            ErrorCode.UNKNOWN_MODEL,
            f"There is no model {name!r}.",
            details={"models": _allowed_names(models)},
        )
    return _allowed(by_name[name], models)


def _default(name: str, models: Sequence[ServedModel]) -> ServedModel:
    allowed = [model for model in models if model.refusal is None]
    if any(model.card.name == name for model in models):
        return _named(name, models)
    if len(allowed) == 1:
        return allowed[0]
    if not allowed:
        raise _nothing_loaded()
    raise InvalidInput(
        ErrorCode.UNKNOWN_MODEL,
        "The default model is not loaded; name another one.",
        details={"models": _allowed_names(models)},
    )


def _allowed(model: ServedModel, models: Sequence[ServedModel]) -> ServedModel:
    if model.refusal is not None:
        raise InvalidInput(
            ErrorCode.MODEL_REFUSED,
            f"The model {model.card.name!r} may not be used: {model.refusal}",
            details={"refusal": model.refusal, "models": _allowed_names(models)},
        )
    return model


def _nothing_loaded() -> Unavailable:
    return Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "No model is loaded that may be used.")


def _allowed_names(models: Sequence[ServedModel]) -> list[str]:
    return sorted(model.card.name for model in models if model.refusal is None)


def choose_stems(wanted: Sequence[str], model: ServedModel) -> tuple[str, ...]:
    """The wanted stems and complements in the model's order; all stems when none is named."""
    return chosen_names(wanted, model.card)


def require_runnable(request: SeparationRequest, card: ModelCard) -> None:
    """Raises InvalidInput for what this model cannot do."""
    if chosen_names(request.stems, card) != request.stems:
        raise InvalidInput(
            ErrorCode.UNKNOWN_STEM,
            f"The model {card.name!r} does not make these stems.",
            details={"stems": list(card.stem_names)},
        )
    if request.overlap is not None and card.hop is not None:
        raise _unsupported("overlap", f"The model {card.name!r} has windows of a fixed hop.")
    is_alone = len(card.stem_names) == 1
    if request.consistency and is_alone:
        raise _unsupported("consistency", f"The model {card.name!r} has no second stem to add.")
    made_by = {file.made_by for file in wanted_files(request, card)}
    if MadeBy.SUM in made_by and is_alone:
        raise _unsupported("complement", f"The model {card.name!r} has no other stems to add.")


def _unsupported(field: str, message: str) -> InvalidInput:
    return InvalidInput(ErrorCode.UNSUPPORTED_OPTION, message, details={"field": field})


def _output(fields: OutputFields) -> OutputOptions:
    if fields.format is not AudioFormat.WAV and fields.bit_depth == FLOAT_BIT_DEPTH:
        raise InvalidInput(
            ErrorCode.INVALID_REQUEST,
            "32 bits (IEEE float) are for WAV alone.",
            details={"field": "output.bit_depth", "format": fields.format.value},
        )
    return OutputOptions(
        format=fields.format,
        bit_depth=fields.bit_depth,
        sample_rate_hz=None if fields.sample_rate == "source" else fields.sample_rate,
    )


def _clip(clip: ClipMode, output: OutputFields) -> ClipMode:
    if clip is ClipMode.NONE and output.bit_depth != FLOAT_BIT_DEPTH:
        raise InvalidInput(
            ErrorCode.INVALID_REQUEST,
            "Samples beyond full scale fit only into 32-bit WAV: choose clamp or rescale.",
            details={"field": "clip"},
        )
    return clip
