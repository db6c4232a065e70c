"""Serving profiles: the same graph, another config.pbtxt."""

from dataclasses import dataclass
from typing import Literal

from stemcore.model_card import Profile

GPU_BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingProfile:
    """`accelerator` is the execution accelerator of Triton's onnxruntime backend."""

    name: Profile
    device: Literal["KIND_CPU", "KIND_GPU"]
    max_batch_size: int
    max_queue_delay_us: int = 0
    instances: int = 1
    backend: Literal["onnxruntime", "tensorrt"] = "onnxruntime"
    accelerator: Literal["cuda", "tensorrt"] | None = None
    warm_up_batches: tuple[int, ...] = (1,)

    @property
    def batches(self) -> bool:
        return self.max_batch_size > 1

    @property
    def usual_batch_size(self) -> int:
        """What kernels are chosen for: a song alone fills this many, several fill more."""
        return max(1, self.max_batch_size // 2)


# On a CPU a batch takes as long as its members one by one, and batch mates change the last bits:
# the cpu profile promises bytes. cpu-batched exists to prove dynamic batching without a GPU.
# Two instances with half of the cores each: while one is in a step that keeps a single core busy,
# the other goes on.
# A GPU takes tens of milliseconds for a batch, and a song brings dozens of segments at once:
# waiting 5 ms fills batches and costs nothing that can be heard of.
PROFILES: dict[str, ServingProfile] = {
    profile.name: profile
    for profile in (
        ServingProfile(name="cpu", device="KIND_CPU", max_batch_size=1, instances=2),
        ServingProfile(
            name="cpu-batched", device="KIND_CPU", max_batch_size=8, max_queue_delay_us=100_000
        ),
        ServingProfile(
            name="gpu-onnx",
            device="KIND_GPU",
            max_batch_size=16,
            max_queue_delay_us=5_000,
            accelerator="cuda",
            warm_up_batches=GPU_BATCHES,
        ),
        ServingProfile(
            name="gpu-tensorrt",
            device="KIND_GPU",
            max_batch_size=16,
            max_queue_delay_us=5_000,
            accelerator="tensorrt",
            warm_up_batches=GPU_BATCHES,
        ),
        ServingProfile(
            name="gpu-plan",
            device="KIND_GPU",
            max_batch_size=16,
            max_queue_delay_us=5_000,
            backend="tensorrt",
            warm_up_batches=GPU_BATCHES,
        ),
    )
}
