"""Serving profiles: the same graph, another config.pbtxt."""

from dataclasses import dataclass
from typing import Literal

from stemcore.model_card import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingProfile:
    name: Profile
    device: Literal["KIND_CPU", "KIND_GPU"]
    max_batch_size: int
    max_queue_delay_us: int = 0

    @property
    def batches(self) -> bool:
        return self.max_batch_size > 1


# On a CPU a batch takes as long as its members one by one, and batch mates change the last bits:
# the cpu profile promises bytes. cpu-batched exists to prove dynamic batching without a GPU.
PROFILES: dict[str, ServingProfile] = {
    profile.name: profile
    for profile in (
        ServingProfile(name="cpu", device="KIND_CPU", max_batch_size=1),
        ServingProfile(
            name="cpu-batched", device="KIND_CPU", max_batch_size=8, max_queue_delay_us=100_000
        ),
        ServingProfile(
            name="gpu-onnx", device="KIND_GPU", max_batch_size=8, max_queue_delay_us=5_000
        ),
    )
}
