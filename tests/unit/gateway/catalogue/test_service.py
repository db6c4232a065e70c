import asyncio

import pytest

from gateway.catalogue.service import CatalogueService
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, NotFound, Unavailable
from tests.integration.gateway.cards import make_card

MINI = ServedModel(card=make_card("mini"), ready=True)


class SlowCatalogue:
    """Answers when it is let, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.away = False

    async def models(self) -> tuple[ServedModel, ...]:
        self.asked += 1
        await self.may_answer.wait()
        if self.away:
            raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "away")
        return (MINI,)


@pytest.mark.parametrize("away", [False, True])
async def test_all_who_ask_at_once_share_one_answer(away: bool) -> None:
    slow = SlowCatalogue()
    slow.away = away
    service = CatalogueService(slow)
    waiting = [asyncio.create_task(service.models()) for _ in range(5)]
    impatient = waiting.pop()
    await asyncio.sleep(0)
    impatient.cancel()
    slow.may_answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert slow.asked == 1
    assert all(isinstance(answer, Unavailable) is away for answer in answers)


async def test_known_models_outlive_the_servers_absence() -> None:
    catalogue = SlowCatalogue()
    catalogue.may_answer.set()
    catalogue.away = True
    service = CatalogueService(catalogue)
    with pytest.raises(Unavailable):
        await service.known_models()
    catalogue.away = False
    assert await service.known_models() == (MINI,)
    catalogue.away = True
    assert await service.known_models() == (MINI,)
    with pytest.raises(Unavailable):
        await service.models()


async def test_a_model_is_found_by_name() -> None:
    service = CatalogueService(MemoryCatalogue(MINI))
    assert await service.model("mini") == MINI
    with pytest.raises(NotFound) as caught:
        await service.model("nonesuch")
    assert caught.value.code is ErrorCode.MODEL_NOT_FOUND
