from http import HTTPStatus

from gateway.problems import STATUS_BY_CODE
from stemcore.errors import ErrorCode


def test_every_code_has_one_status() -> None:
    assert set(STATUS_BY_CODE) == set(ErrorCode)
    assert all(status >= HTTPStatus.BAD_REQUEST for status in STATUS_BY_CODE.values())
