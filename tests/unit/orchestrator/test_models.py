import pytest

from orchestrator.models import Models
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, StemyardError, Unavailable
from stemcore.model_card import Licences, ModelCard, StemSource


def served(name: str, *, ready: bool = True, refusal: str | None = None) -> ServedModel:
    card = ModelCard(
        name=name,
        description="",
        family="test",
        stems=(StemSource(stem="drums", model=name, output="drums"),),
        sample_rate=44_100,
        segment_samples=100,
        parameters=1,
        files={"1/model.onnx": "0" * 64},
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )
    return ServedModel(card=card, ready=ready, refusal=refusal)


class Starting:
    """A catalogue of a server that is away at first."""

    def __init__(self, *answers: tuple[ServedModel, ...] | None) -> None:
        self._answers = list(answers)

    async def models(self) -> tuple[ServedModel, ...]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "away")
        return answer


async def test_a_ready_model_gives_its_card() -> None:
    models = Models(MemoryCatalogue(served("a"), served("b")), patience_s=0)
    assert (await models.card("b")).name == "b"


async def test_a_starting_server_is_waited_for() -> None:
    catalogue = Starting(None, (served("a", ready=False),), (served("a"),))
    assert (await Models(catalogue, patience_s=10).card("a")).name == "a"


@pytest.mark.parametrize(
    ("catalogue", "kind", "code"),
    [
        (MemoryCatalogue(served("b")), InvalidInput, ErrorCode.UNKNOWN_MODEL),
        (MemoryCatalogue(), Unavailable, ErrorCode.ENGINE_UNAVAILABLE),
        (MemoryCatalogue(served("a", ready=False)), Unavailable, ErrorCode.ENGINE_UNAVAILABLE),
        (MemoryCatalogue(served("a", refusal="no")), InvalidInput, ErrorCode.MODEL_REFUSED),
        (Starting(None), Unavailable, ErrorCode.ENGINE_UNAVAILABLE),
    ],
)
async def test_a_model_that_cannot_be_had(
    catalogue: MemoryCatalogue | Starting, kind: type[StemyardError], code: ErrorCode
) -> None:
    with pytest.raises(kind) as refusal:
        await Models(catalogue, patience_s=0).card("a")
    assert refusal.value.code is code


async def test_a_refused_model_is_not_usable() -> None:
    assert not await Models(MemoryCatalogue(served("a", refusal="no")), patience_s=0).any_usable()
    assert await Models(MemoryCatalogue(served("a")), patience_s=0).any_usable()
