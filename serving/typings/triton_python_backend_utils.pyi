"""The part of Triton's python backend API this project uses."""

from typing import Any

import numpy as np
import numpy.typing as npt

class TritonModelException(Exception): ...

class TritonError:
    INTERNAL: Any
    INVALID_ARG: Any
    def __init__(self, message: str, code: Any = ...) -> None: ...

class Tensor:
    def __init__(self, name: str, array: npt.NDArray[Any]) -> None: ...
    def as_numpy(self) -> np.ndarray[Any, np.dtype[Any]]: ...

class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor], error: TritonError | None = None) -> None: ...

def get_input_tensor_by_name(request: Any, name: str) -> Tensor | None: ...

class _Metric:
    def set(self, value: float) -> None: ...

class MetricFamily:
    GAUGE: Any
    def __init__(self, name: str, description: str, kind: Any) -> None: ...
    def Metric(self, labels: dict[str, str]) -> _Metric: ...  # noqa: N802
