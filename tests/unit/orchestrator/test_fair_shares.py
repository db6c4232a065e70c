from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest

from orchestrator.fair_shares import FairShares

ALICE, BOB, CAROL = (UUID(int=number) for number in (1, 2, 3))


def served(shares: FairShares, waiting: Sequence[UUID], *, turns: int) -> list[UUID]:
    """Who gets the next turns when all of `waiting` always want one."""
    order: list[UUID] = []
    for _ in range(turns):
        chosen = min(waiting, key=shares.next_turn)
        shares.take(chosen)
        order.append(chosen)
    return order


def test_those_who_wait_take_turns() -> None:
    order = served(FairShares(head_start=1), [ALICE, BOB, CAROL], turns=9)
    assert order == [ALICE, BOB, CAROL] * 3


@pytest.mark.parametrize("head_start", [1, 2, 5])
def test_a_newcomer_gets_its_head_start_and_then_an_equal_share(head_start: int) -> None:
    shares = FairShares(head_start=head_start)
    served(shares, [ALICE], turns=100)
    order = served(shares, [ALICE, BOB], turns=head_start + 20)
    assert order[:head_start] == [BOB] * head_start
    assert Counter(order[head_start:]) == {ALICE: 10, BOB: 10}


def test_being_away_earns_no_more_than_a_head_start() -> None:
    shares = FairShares(head_start=2)
    served(shares, [ALICE, BOB], turns=10)
    served(shares, [ALICE], turns=1000)
    order = served(shares, [ALICE, BOB], turns=22)
    assert Counter(order) == {BOB: 12, ALICE: 10}


def test_going_away_for_a_moment_earns_nothing() -> None:
    """Whoever waits for his own last result before he asks again."""
    shares = FairShares(head_start=2)
    served(shares, [ALICE, BOB], turns=10)
    order: list[UUID] = []
    for _ in range(20):
        order += served(shares, [ALICE], turns=1)
        order += served(shares, [ALICE, BOB], turns=1)
    assert Counter(order) == {ALICE: 20, BOB: 20}


def test_accounts_long_gone_are_forgotten() -> None:
    shares = FairShares(head_start=2)
    for number in range(1000):
        shares.take(UUID(int=number))
    served(shares, [ALICE], turns=10)
    assert set(shares._next) == {ALICE}
