"""HTDemucs checkpoints, read as data.

Demucs' own loaders run what a stranger's file says: `.th` is a pickle, and a safetensors file names
its class by import path. Here both are read against a list of allowed classes.
"""

import hashlib
import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.pretrained import REMOTE_ROOT, get_model
from demucs.states import load_model
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from exporters.errors import CheckpointError, UnsafeCheckpoint, UnsupportedModel
from exporters.facts import CHECKPOINT_SHA256
from exporters.htdemucs.waveform import arguments_of

ALLOWED_CLASSES = (HTDemucs, HDemucs, Demucs, Fraction)
CLASS_PATH = f"{HTDemucs.__module__}.{HTDemucs.__name__}"
TRAINED_ON = "trained_on"
RANDOM_WEIGHTS = "nothing: random weights"
_FORM_KEYS = ("klass", "args", "kwargs", "structure")
_AGAIN = "fetch or copy it again"
_EXPORTED = "of Demucs, htdemucs, htdemucs_ft and htdemucs_6s can be exported"
# Padded to the full window, a half of one came out 7 to 11 dB from Demucs' own, on seeded weights.
_HYBRID = (
    "Demucs runs a Hybrid Demucs on each song's last window at that window's own, shorter length, "
    f"which a graph of one length cannot; {_EXPORTED}"
)

Fetch = Callable[[str], Any]

PRETRAINED = tuple(sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml")))
# torch.hub tells a wrong checksum by RuntimeError, as Demucs does by a kind of it.
FETCH_FAILURES = (OSError, EOFError, pickle.UnpicklingError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model and what its file says of itself beyond its form."""

    model: HTDemucs
    provenance: Mapping[str, str]

    @property
    def random_weights(self) -> bool:
        return self.provenance.get(TRAINED_ON) == RANDOM_WEIGHTS


def load_checkpoint(source: str, *, trust_pickle: bool, fetch: Fetch = get_model) -> Checkpoint:
    """A `.safetensors` or `.th` file as Demucs saves them, or one of Demucs' pretrained names.

    Raises CheckpointError, UnsafeCheckpoint or UnsupportedModel.
    """
    path = Path(source)
    if path.is_file():
        return _load_file(path, trust_pickle=trust_pickle)
    return pretrained_checkpoint(fetch_pretrained(source, fetch), name=source)


def fetch_pretrained(name: str, fetch: Fetch = get_model) -> Any:
    """A model, or a bag, by Demucs' own loader. Raises CheckpointError."""
    if Path(name).suffix or len(Path(name).parts) > 1:
        raise CheckpointError(f"no such checkpoint file: {name}")
    if name not in PRETRAINED:
        raise CheckpointError(f"{name!r} is neither a file nor one of {', '.join(PRETRAINED)}")
    if not name.startswith("htdemucs"):
        raise UnsupportedModel(f"{name}: {_HYBRID if name == 'hdemucs_mmi' else _EXPORTED}")
    try:
        return fetch(name)
    except FETCH_FAILURES as error:
        raise CheckpointError(
            f"Demucs could not fetch {name!r} ({error}); without a network, export a .th or "
            ".safetensors file that was fetched elsewhere: python -m exporters export htdemucs "
            f"--checkpoint FILE --name {name}"
        ) from error


def pretrained_checkpoint(model: Any, *, name: str) -> Checkpoint:
    """Of a model that `fetch_pretrained` gave. Raises UnsupportedModel."""
    return Checkpoint(model=_htdemucs(model, origin=name), provenance={"checkpoint": name})


def save_checkpoint(model: HTDemucs, path: Path, *, provenance: Mapping[str, str]) -> None:
    """Demucs' safetensors form: class and arguments are JSON in the metadata, beside provenance."""
    args, kwargs = arguments_of(model)
    metadata = {
        "klass": CLASS_PATH,
        "args": json.dumps(args, default=_encode_fraction),
        "kwargs": json.dumps(kwargs, default=_encode_fraction),
    } | dict(provenance)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata=metadata)


def _load_file(path: Path, *, trust_pickle: bool) -> Checkpoint:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    provenance = {"checkpoint": path.name, CHECKPOINT_SHA256: digest}
    if path.suffix != ".safetensors":
        package = _read_pickle(path, trust_pickle=trust_pickle)
        return Checkpoint(model=_build(package, path), provenance=provenance)
    package, notes = _read_safetensors(path)
    return Checkpoint(model=_build(package, path), provenance=notes | provenance)


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata["klass"] != CLASS_PATH:
            raise _unsupported(metadata["klass"], origin=path.name)
        arguments = {
            key: _decode_fractions(json.loads(metadata[key])) for key in ("args", "kwargs")
        }
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole Demucs safetensors file: {_first_line(error)}; {_AGAIN}"
        ) from error
    notes = {key: text for key, text in metadata.items() if key not in _FORM_KEYS}
    return {"klass": HTDemucs, "state": state, **arguments}, notes


def _read_pickle(path: Path, *, trust_pickle: bool) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(list(ALLOWED_CLASSES)):
            return torch.load(path, "cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpoint(
            f"{path.name} holds more than tensors and Demucs' classes, or is no package at all; "
            "loading it unrestricted could run its code: pass --trust-pickle if you trust its "
            f"author ({_first_line(error)})"
        ) from error
    # The file's bytes drive the unpickler, which raises whatever they lead it to.
    except Exception as error:
        raise CheckpointError(
            f"{path.name} is not a whole Demucs package: {_first_line(error)}; {_AGAIN}"
        ) from error


def _build(package: Any, path: Path) -> HTDemucs:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Dropping inexistant parameter")
            model = load_model(package)
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"{path.name} does not describe its model: {_first_line(error)}; {_AGAIN}"
        ) from error
    return _htdemucs(model, origin=path.name)


def _htdemucs(model: Any, *, origin: str) -> HTDemucs:
    """The one model of a bag of one; float32, in evaluation mode."""
    if isinstance(model, BagOfModels):
        if len(model.models) != 1:
            raise UnsupportedModel(f"{origin}: a bag of {len(model.models)} models is no one graph")
        model = model.models[0]
    if type(model) is not HTDemucs:
        kind = type(model)
        raise _unsupported(f"{kind.__module__}.{kind.__name__}", origin=origin)
    return model.float().eval().requires_grad_(False)


def _unsupported(class_path: str, *, origin: str) -> UnsupportedModel:
    reason = _HYBRID if class_path == f"{HDemucs.__module__}.{HDemucs.__name__}" else _EXPORTED
    return UnsupportedModel(f"{origin}: a {class_path} is not an HTDemucs: {reason}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _encode_fraction(value: Any) -> dict[str, Any]:
    if not isinstance(value, Fraction):
        raise TypeError(f"{value!r} has no place in a checkpoint")
    return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}


def _decode_fractions(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode_fractions(item) for item in value]
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decode_fractions(item) for key, item in value.items()}
    return value
