"""From what a client asks for to what the models there are can do."""

from collections.abc import Sequence

from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.separation_request import AudioFormat, ClipMode, OutputOptions, SeparationRequest
from stemcore.submission import OutputFields, SubmissionFields

FLOAT_BIT_DEPTH = 32


def plan(
    fields: SubmissionFields, models: Sequence[ServedModel], *, default_model: str
) -> SeparationRequest:
    """The request to run; raises InvalidInput for what no model here can do."""
    model = choose_model(fields.model, models, default_model=default_model)
    return SeparationRequest(
        model=model.card.name,
        stems=choose_stems(fields.stems, model),
        output=_output(fields.output),
        overlap=fields.overlap,
        clip=_clip(fields.clip, fields.output),
    )


def choose_model(
    name: str | None, models: Sequence[ServedModel], *, default_model: str
) -> ServedModel:
    """The model of that name; without one the default, or the only one that may be used."""
    by_name = {model.card.name: model for model in models}
    if name is None:
        return _default(by_name.get(default_model), models)
    if name not in by_name:
        raise InvalidInput(
            ErrorCode.UNKNOWN_MODEL,
            f"There is no model {name!r}.",
            details={"models": _allowed_names(models)},
        )
    return _allowed(by_name[name], models)


def _default(named: ServedModel | None, models: Sequence[ServedModel]) -> ServedModel:
    allowed = [model for model in models if model.refusal is None]
    if named is not None:
        return _allowed(named, models)
    if len(allowed) == 1:
        return allowed[0]
    if not allowed:
        raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "No model is loaded that may be used.")
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


def _allowed_names(models: Sequence[ServedModel]) -> list[str]:
    return sorted(model.card.name for model in models if model.refusal is None)


def choose_stems(wanted: Sequence[str], model: ServedModel) -> tuple[str, ...]:
    """The wanted stems in the model's order, all of them when none is named."""
    known = model.card.stem_names
    if unknown := [stem for stem in wanted if stem not in known]:
        raise InvalidInput(
            ErrorCode.UNKNOWN_STEM,
            f"The model {model.card.name!r} has no stem {unknown[0]!r}.",
            details={"unknown": unknown, "stems": list(known)},
        )
    return tuple(stem for stem in known if not wanted or stem in wanted)


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
