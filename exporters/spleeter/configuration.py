"""What a Spleeter configuration says, and how its variables are called in a checkpoint.

Runs in both environments: Spleeter's own, with TensorFlow, and the exporters', with PyTorch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from exporters.errors import CheckpointError, UnsupportedModel

Activation = Literal["LeakyReLU", "ReLU", "ELU"]

DEPTH = 6
CONVOLUTIONS = DEPTH + 1
TRANSPOSED = DEPTH
NORMS = 2 * DEPTH
DEFAULT_FILTERS = (16, 32, 64, 128, 256, 512)
HOPS_PER_FRAME = 4

PROVENANCE_FILE = "provenance.json"
TRAINED_ON = "trained_on"
RANDOM_WEIGHTS = "nothing: random weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Sizes in samples (`frame_length`, `frame_step`), frames and bins of the STFT.

    `descriptor` is the configuration that Spleeter ships, such as `spleeter:4stems-16kHz`.
    """

    descriptor: str
    instruments: tuple[str, ...]
    sample_rate: int
    channels: int
    frame_length: int
    frame_step: int
    frames: int
    bins: int
    filters: tuple[int, ...]
    conv_activation: Activation
    deconv_activation: Activation
    softmax: bool

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], *, descriptor: str) -> "Configuration":
        """From Spleeter's own JSON; raises UnsupportedModel with every reason."""
        model = parameters["model"]
        _refuse_unsupported(parameters, model["type"])
        return cls(
            descriptor=descriptor,
            instruments=tuple(parameters["instrument_list"]),
            sample_rate=parameters["sample_rate"],
            channels=parameters["n_channels"],
            frame_length=parameters["frame_length"],
            frame_step=parameters["frame_step"],
            frames=parameters["T"],
            bins=parameters["F"],
            filters=tuple(model["params"].get("conv_n_filters", DEFAULT_FILTERS)),
            conv_activation=_conv_activation(model["params"]),
            deconv_activation=_deconv_activation(model["params"]),
            softmax=model["type"] == "unet.softmax_unet",
        )

    @property
    def segment_samples(self) -> int:
        """What `frames` frames span."""
        return (self.frames - 1) * self.frame_step + self.frame_length

    @property
    def hop_samples(self) -> int:
        return self.frames * self.frame_step


def stems_of(names: Iterable[str]) -> int:
    """How many U-Nets the variables of a checkpoint make up; raises CheckpointError for none."""
    kernels = {f"{layer('conv2d_transpose', place)}/kernel" for place in range(len(list(names)))}
    found = len(kernels & set(names))
    if found == 0 or found % TRANSPOSED:
        raise CheckpointError(
            f"{found} transposed convolutions are no Spleeter U-Nets of {TRANSPOSED} each: "
            "the checkpoint is of another architecture; pass one of Spleeter's 2stems, 4stems or "
            "5stems directories"
        )
    return found // TRANSPOSED


def layer(kind: str, place: int) -> str:
    """Keras' name of the layer at `place` among those of its kind."""
    return f"{kind}_{place}" if place else kind


def _conv_activation(parameters: Mapping[str, Any]) -> Activation:
    """Spleeter takes what it does not know for its default."""
    wanted = parameters.get("conv_activation")
    return wanted if wanted in ("ReLU", "ELU") else "LeakyReLU"


def _deconv_activation(parameters: Mapping[str, Any]) -> Activation:
    wanted = parameters.get("deconv_activation")
    return wanted if wanted in ("LeakyReLU", "ELU") else "ReLU"


def _refuse_unsupported(parameters: Mapping[str, Any], model_type: str) -> None:
    reasons = {
        f"a model of type {model_type}": model_type not in ("unet.unet", "unet.softmax_unet"),
        "a mask exponent other than 2": parameters["separation_exponent"] != 2,
        "masks not extended by zeros": parameters["mask_extension"] != "zeros",
        "other than two channels": parameters["n_channels"] != 2,
        f"frames of other than {HOPS_PER_FRAME} steps": (
            parameters["frame_length"] != HOPS_PER_FRAME * parameters["frame_step"]
        ),
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise UnsupportedModel(f"Spleeter with {'; '.join(found)} cannot be exported")
