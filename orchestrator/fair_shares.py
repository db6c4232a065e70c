"""Equal shares of something that is handed out one turn at a time: start-time fair queueing."""

from uuid import UUID


class FairShares:
    """Numbers the turns of each account; whoever's next number is lowest comes next.

    After Goyal, Vin and Cheng, "Start-time fair queueing" (1996), with turns of equal length. Who
    was away gets no more than `head_start` turns, at least one, before those who were there.
    """

    def __init__(self, *, head_start: int) -> None:
        self._head_start = head_start
        self._latest = 0
        self._next: dict[UUID, int] = {}

    def next_turn(self, account_id: UUID) -> int:
        """The number of the account's next turn."""
        return max(self._next.get(account_id, self._earliest), self._earliest)

    def take(self, account_id: UUID) -> None:
        """Charge the account for a turn."""
        turn = self.next_turn(account_id)
        self._latest = max(self._latest, turn)
        self._next[account_id] = turn + 1
        self._next = {who: number for who, number in self._next.items() if number > self._earliest}

    @property
    def _earliest(self) -> int:
        return self._latest + 1 - self._head_start
