"""stemyard-mini: a small HTDemucs, its untrained start and its files."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import torch
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from synthesis import STEMS
from synthesis.signal import SAMPLE_RATE_HZ
from training.errors import NotAnHTDemucsError

SEGMENT_S = Fraction(39, 5)
CHANNELS = 16
_OPEN_SCALE = 0.1


def untrained(*, channels: int = CHANNELS, layers: int = 2) -> HTDemucs:
    """HTDemucs with open residual branches.

    Demucs starts its LayerScale factors at 1e-4 to 1e-3 for runs of weeks; a run of minutes would
    hardly leave that start, so they begin at 0.1.
    """
    model = HTDemucs(
        list(STEMS),
        channels=channels,
        depth=4,
        dconv_depth=2,
        dconv_init=_OPEN_SCALE,
        t_layers=layers,
        t_heads=4,
        t_hidden_scale=2.0,
        samplerate=SAMPLE_RATE_HZ,
        segment=cast(int, SEGMENT_S),  # any number of seconds, whatever Demucs' default suggests
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gamma_1.scale", "gamma_2.scale")):
                parameter.fill_(_OPEN_SCALE)
    return model


def parameters(model: torch.nn.Module) -> int:
    """The number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def configuration(model: HTDemucs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that the model was made with, by Demucs' own record of them."""
    recorded: Any = vars(model)["_init_args_kwargs"]
    return recorded


def save(model: HTDemucs, state: dict[str, torch.Tensor], path: Path, **facts: str) -> None:
    """Write `state` as Demucs' own safetensors: class and arguments as JSON in the metadata.

    The file appears whole or not at all. `facts` join the metadata.
    """
    arguments, keywords = configuration(model)
    metadata = {
        "klass": f"{HTDemucs.__module__}.{HTDemucs.__qualname__}",
        "args": json.dumps(_encodable(arguments)),
        "kwargs": json.dumps(_encodable(keywords)),
        **facts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in state.items()}, unfinished, metadata)
    unfinished.replace(path)


def load(path: Path) -> HTDemucs:
    """A trained model, ready to separate, read by Demucs' own code."""
    model = load_safetensors_model(path)
    if not isinstance(model, HTDemucs):
        raise NotAnHTDemucsError(f"{path} holds a {type(model).__name__}")
    return model.eval()


def _encodable(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
