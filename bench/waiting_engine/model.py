"""A Triton model that waits as long as its configuration says, and answers with the mix.

Triton loads this file into one process per instance; it stands alone.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb


class TritonPythonModel:
    """Each instance answers one request after the other."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """There is nothing to complete."""
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Reads the delay and the outputs' type."""
        config = json.loads(args["model_config"])
        self._delay_s = float(config["parameters"]["delay_s"]["string_value"])
        self._type = pb.triton_string_to_numpy(config["output"][0]["data_type"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response per request, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        time.sleep(self._delay_s)
        mix = pb.get_input_tensor_by_name(request, "mix").as_numpy()
        mix = mix.astype(self._type, copy=False)
        return pb.InferenceResponse(
            [pb.Tensor(name, mix) for name in request.requested_output_names()]
        )
