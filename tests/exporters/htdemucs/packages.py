"""Demucs' older files."""

from typing import Any

from demucs.htdemucs import HTDemucs

from exporters.htdemucs.waveform import arguments_of


def package_of(model: HTDemucs, **changes: Any) -> dict[str, Any]:
    """What demucs.states.serialize_model puts into a `.th` file."""
    args, kwargs = arguments_of(model)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    training = {"dset": {"samplerate": 44100}, "seed": 42}
    package = {"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": state}
    return package | {"training_args": training} | changes
