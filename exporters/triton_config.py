"""config.pbtxt from a specification, through Triton's own schema."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from exporters.profiles import PROFILES
from exporters.specification import INPUT_NAME, WaveformSpecification
from stemcore.model_card import CARD_PARAMETER, ModelCard

MODEL_FILE = "model.onnx"
BACKEND = "onnxruntime"
THREADS_PARAMETER = "intra_op_thread_count"


def render_config(
    specification: WaveformSpecification, *, card: ModelCard, threads: int = 0
) -> str:
    """`threads` 0 leaves the backend's default, all cores."""
    profile = PROFILES[card.profile]
    config = pb.ModelConfig(
        name=specification.name,
        backend=BACKEND,
        default_model_filename=MODEL_FILE,
        max_batch_size=profile.max_batch_size,
        input=[_tensor(pb.ModelInput, INPUT_NAME, specification)],
        output=[_tensor(pb.ModelOutput, stem, specification) for stem in specification.stems],
        instance_group=[
            # KIND_CPU without a count means two instances, each with all cores
            pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.Kind.Value(profile.device), count=1)
        ],
        model_warmup=[_warmup(specification)],
    )
    if profile.batches:
        config.dynamic_batching.max_queue_delay_microseconds = profile.max_queue_delay_us
    config.parameters[CARD_PARAMETER].string_value = card.to_json()
    if threads:
        config.parameters[THREADS_PARAMETER].string_value = str(threads)
    return text_format.MessageToString(config, as_utf8=True)


def parse_config(text: str) -> pb.ModelConfig:
    """Raises text_format.ParseError on what Triton would refuse."""
    return text_format.Parse(text, pb.ModelConfig())


def configured_threads(config: pb.ModelConfig) -> int:
    parameters = config.parameters
    return int(parameters[THREADS_PARAMETER].string_value) if THREADS_PARAMETER in parameters else 0


def _tensor(
    kind: type[pb.ModelInput] | type[pb.ModelOutput],
    name: str,
    specification: WaveformSpecification,
) -> pb.ModelInput | pb.ModelOutput:
    return kind(name=name, data_type=pb.TYPE_FP32, dims=specification.signal_shape)


def _warmup(specification: WaveformSpecification) -> pb.ModelWarmup:
    example = pb.ModelWarmup.Input(
        data_type=pb.TYPE_FP32, dims=specification.signal_shape, zero_data=True
    )
    return pb.ModelWarmup(name="one segment", batch_size=1, inputs={INPUT_NAME: example})
