"""What docs/api.md says is what there is."""

import re
from pathlib import Path

from gateway.problems import STATUS_BY_CODE
from tests.unit.gateway.test_openapi import OPERATIONS

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_code_is_listed_with_its_status() -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", TEXT, flags=re.MULTILINE)
    assert {code: int(status) for code, status in listed} == {
        code.value: status.value for code, status in STATUS_BY_CODE.items()
    }


def test_every_route_is_listed() -> None:
    listed = {
        f"{method.lower()} {path}"
        for methods, path in re.findall(r"`([A-Z, ]+) (/[^`]+)`", TEXT)
        for method in methods.split(", ")
    }
    assert set(OPERATIONS) <= listed
    assert listed - set(OPERATIONS) == set()
