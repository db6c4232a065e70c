"""Every hostile file has one code, soon, and leaves nothing behind."""

import asyncio
import csv
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from stemcore.errors import ErrorCode
from stemyard.stack.waiting import until
from tests.hostile.conftest import SETTLED_WITHIN_S, Answer, House
from tests.hostile.make_files import make_files, makers

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLE = Path(__file__).with_name("expected.csv")
FILES, CODES = 60, 12
# Of the moment at which it can be known.
ANSWERED_WITHIN_S = 5.0
AT_A_TIME = 2
WARM = 2
ALLOWED_GROWTH_BYTES = 60 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A row of the table."""

    code: str
    known: str


EXPECTED = {
    row["file"]: Expected(code=row["code"], known=row["known"])
    for row in csv.DictReader(TABLE.read_text().splitlines())
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Siege:
    """All files sent, and the gateway's peak of memory before and after."""

    answers: dict[str, Answer]
    peak_before: int
    peak_after: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def siege(house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Siege]:
    folder = tmp_path_factory.mktemp("files")
    paths = await asyncio.to_thread(lambda: list(make_files(folder)))
    answers: dict[str, Answer] = {}
    turns = asyncio.Semaphore(AT_A_TIME)

    async def send(path: Path) -> None:
        async with turns:
            answers[path.name] = await house.answer(path)

    before = house.gateway.peak_bytes()
    async with asyncio.TaskGroup() as group:
        for path in paths:
            group.create_task(send(path))
    yield Siege(answers=answers, peak_before=before, peak_after=house.gateway.peak_bytes())


async def test_the_table_knows_every_file() -> None:
    assert set(EXPECTED) == set(makers())
    assert len(EXPECTED) >= FILES
    codes = {expected.code for expected in EXPECTED.values()} - {"ok"}
    assert len(codes) >= CODES
    assert codes <= {code.value for code in ErrorCode}


async def test_the_same_seed_makes_the_same_noise() -> None:
    again = makers()
    for name, make in makers().items():
        if name.startswith("noise"):
            assert make() == again[name]()
    assert makers(1)["noise-wav"]() != again["noise-wav"]()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EXPECTED)
async def test_it_is_answered_by_its_code_and_soon(siege: Siege, name: str) -> None:
    answer, expected = siege.answers[name], EXPECTED[name]
    assert (answer.code, answer.known) == (expected.code, expected.known)
    assert answer.seconds < ANSWERED_WITHIN_S


async def test_the_gateway_holds_none_of_them_in_memory(siege: Siege) -> None:
    assert siege.peak_after - siege.peak_before < ALLOWED_GROWTH_BYTES


async def test_nothing_is_left_behind(siege: Siege, house: House) -> None:
    async def only_fresh_decoders() -> bool:
        return len(house.decoders()) == WARM

    await until(only_fresh_decoders, timeout_s=SETTLED_WITHIN_S)
    assert house.left_over() == []
    page: str | None = ""
    while page is not None:
        jobs = (await house.gateway.http.get("/v1/jobs?limit=100", headers=house.headers)).json()
        for job in jobs["items"]:
            await house.gateway.http.delete(f"/v1/jobs/{job['id']}", headers=house.headers)
        page = jobs["next_cursor"]
    assert house.stored() == []
