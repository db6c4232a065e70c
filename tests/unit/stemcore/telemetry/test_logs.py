import logging

from stemcore.telemetry.logs import Seldom

RECORD = logging.LogRecord("any", logging.WARNING, "file", 1, "away", (), None)


def test_complaints_come_once_in_a_while() -> None:
    now = 0.0
    seldom = Seldom(every_s=60, clock=lambda: now)
    assert [seldom.filter(RECORD) for _ in range(3)] == [True, False, False]
    now = 61.0
    assert [seldom.filter(RECORD) for _ in range(2)] == [True, False]
