import dataclasses
from pathlib import Path

import pytest

from serving import staging
from serving.engines import Machine, fitted
from serving.errors import ModelRefused, RefusalReason
from serving.inspection import VerifiedModel, verify
from serving.settings import EngineChoice, ModelTuning, ServingSettings
from stemcore.model_card import CARD_PARAMETER, EngineEvidence, ModelCard
from tests.serving.evidence import BF16, FP32, evidence, figure, prove
from tests.serving.small_bags import describe_bag, write_bag
from tests.serving.small_models import write_model

OWN = ("onnxruntime", "fp32")
AVX512_BF16 = frozenset({"avx2", "avx512_bf16"})
AMX = frozenset({"avx2", "amx_bf16"})
PLAIN = frozenset({"avx2", "avx512f"})
PROVEN = (evidence(*BF16), evidence(*FP32))


def machine(flags: frozenset[str] = AVX512_BF16, *, openvino: bool = True) -> Machine:
    return Machine(cpu_flags=flags, openvino=openvino, model_cache=Path("compiled"))


def make_model(root: Path, *engines: EngineEvidence, parity_db: float = 120.0) -> VerifiedModel:
    return verify(prove(write_model(root, "gains"), *engines, parity_db=parity_db))


def serve(model: VerifiedModel, here: Machine, wanted: EngineChoice | None = None) -> VerifiedModel:
    return fitted(model, here, wanted=lambda _: wanted)


def runs_on(model: VerifiedModel) -> tuple[str, str]:
    return model.card.engine, model.card.precision


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (machine(AMX), BF16),
        (machine(AVX512_BF16), BF16),
        (machine(PLAIN), FP32),
        (machine(AMX, openvino=False), OWN),
    ],
)
def test_the_fastest_engine_that_this_machine_runs_is_chosen(
    tmp_path: Path, here: Machine, expected: tuple[str, str]
) -> None:
    assert runs_on(serve(make_model(tmp_path, *PROVEN), here)) == expected


@pytest.mark.parametrize(
    "unproven",
    [
        evidence(*BF16, parity=()),
        evidence(*BF16, parity=(figure(35.9),)),
        evidence(*BF16, sdr_lost_db={"drums": 0.06}, sdr_songs=50),
    ],
)
def test_an_engine_without_passed_evidence_is_neither_chosen_nor_to_be_had(
    tmp_path: Path, unproven: EngineEvidence
) -> None:
    model = make_model(tmp_path, unproven)
    assert runs_on(serve(model, machine())) == OWN
    with pytest.raises(ModelRefused, match="exporters verify gains") as refused:
        serve(model, machine(), "openvino-bf16")
    assert refused.value.reason is RefusalReason.ENGINE_NOT_PROVEN


def test_evidence_of_another_engine_does_not_save_a_model_without_its_own(tmp_path: Path) -> None:
    model = make_model(tmp_path, *PROVEN, parity_db=20.0)
    assert not serve(model, machine()).card.parity_passed


@pytest.mark.parametrize("wanted", ["openvino-bf16", "openvino-fp32", "onnxruntime-fp32"])
def test_a_setting_chooses_among_what_is_proven(tmp_path: Path, wanted: EngineChoice) -> None:
    served = serve(make_model(tmp_path, *PROVEN), machine(), wanted)
    assert "-".join(runs_on(served)) == wanted


@pytest.mark.parametrize("here", [machine(PLAIN), machine(openvino=False)])
def test_a_setting_cannot_give_a_machine_what_it_lacks(tmp_path: Path, here: Machine) -> None:
    with pytest.raises(ModelRefused) as refused:
        serve(make_model(tmp_path, *PROVEN), here, "openvino-bf16")
    assert refused.value.reason is RefusalReason.ENGINE_NOT_HERE


def test_the_served_config_tells_engine_precision_and_its_own_parity(tmp_path: Path) -> None:
    rough = evidence(*BF16, parity=(figure(41.0),))
    model = make_model(tmp_path, rough)
    served = serve(model, machine())
    parameters = {name: value.string_value for name, value in served.config.parameters.items()}
    assert served.config.backend == "openvino"
    assert served.config.default_model_filename == "model.onnx"
    assert parameters["INFERENCE_PRECISION_HINT"] == "bf16"
    assert parameters["HINT_BF16"] == "YES"
    card = ModelCard.from_json(parameters[CARD_PARAMETER])
    assert card == served.card
    assert card.parity == rough.parity
    assert card.digest != model.card.digest
    assert model.config.backend == "onnxruntime", "what was verified stays as it was"


def test_float32_is_asked_for_where_openvino_would_take_bfloat16(tmp_path: Path) -> None:
    served = serve(make_model(tmp_path, *PROVEN), machine(), "openvino-fp32")
    assert served.config.parameters["INFERENCE_PRECISION_HINT"].string_value == "f32"
    assert "HINT_BF16" not in served.config.parameters


def test_threads_reach_openvino_by_its_own_name(tmp_path: Path) -> None:
    served = serve(make_model(tmp_path, *PROVEN), machine())
    config = staging.tuned(served.config, tuning=ModelTuning(threads=3), warm_up=True)
    assert config.parameters["INFERENCE_NUM_THREADS"].string_value == "3"


def test_a_bag_names_the_cards_of_its_parts_as_they_are_served(tmp_path: Path) -> None:
    folder = write_bag(tmp_path)
    bag = verify(folder)
    parts = [prove(part.directory, evidence(*BF16)) for part in bag.parts[:2]]
    digests = {part.name: verify(part).card.digest for part in parts}
    card = dataclasses.replace(bag.card, parts=dict(bag.card.parts) | digests)
    describe_bag(folder, card)
    served = serve(verify(folder), machine())
    assert [runs_on(part) for part in served.parts] == [BF16, BF16, OWN, OWN]
    assert served.card.parts == {part.name: part.card.digest for part in served.parts}
    assert runs_on(served) == ("onnxruntime and openvino", "bf16 and fp32")
    assert served.config.parameters[CARD_PARAMETER].string_value == served.card.to_json()


def test_what_serves_batches_keeps_the_engine_it_was_exported_for(tmp_path: Path) -> None:
    model = verify(prove(write_model(tmp_path, "gains", max_batch_size=8), *PROVEN))
    assert runs_on(serve(model, machine())) == OWN


def test_the_machine_is_read_from_the_kernel(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbogomips\t: 1\n")
    found = Machine.found(model_cache=tmp_path, cpuinfo=cpuinfo)
    assert found.cpu_flags == {"fpu", "avx2", "avx512_bf16"}


def test_a_models_own_engine_wins_over_the_general_one() -> None:
    settings = ServingSettings(
        tuning=ModelTuning(engine="openvino-fp32"),
        tuning_by_model={"exact": ModelTuning(engine="onnxruntime-fp32")},
    )
    assert settings.tuning_of("exact").engine == "onnxruntime-fp32"
    assert settings.tuning_of("any").engine == "openvino-fp32"
