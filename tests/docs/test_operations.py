"""The document for operators says what the code has."""

import re

import pytest

from scripts.operations_tables import DOCUMENT, SERVICES, groups, metrics, rendered


@pytest.fixture(scope="module")
def document() -> str:
    return DOCUMENT.read_text()


def test_its_tables_are_those_of_the_code(document: str) -> None:
    assert rendered(document) == document, "run: make tables"


def test_every_setting_of_every_service_is_in_it(document: str) -> None:
    variables = {
        setting.variable
        for settings in SERVICES.values()
        for group in groups(settings)
        for setting in group.settings
    }
    assert {"DATABASE__DSN", "KAFKA__TOPICS__JOBS__PARTITIONS", "METRICS__PORT"} <= variables
    assert {v for v in variables if f"| `{v}` |" not in document} == set()


def test_no_default_of_a_secret_is_shown(document: str) -> None:
    secrets = re.findall(r"^\| `(\w+)` \| secret \| (.*) \|$", document, flags=re.MULTILINE)
    assert {"AUTH__SECRET", "KAFKA__PASSWORD"} <= {name for name, _ in secrets}
    assert {default for _, default in secrets} <= {"**required**", "none", "secret"}


def test_what_is_to_be_watched_exists(document: str) -> None:
    names = {name for _, name, *_ in metrics()}
    _, _, watched = document.partition("## What to watch")
    table, _, _ = watched.partition("## What to do when")
    first_cells = re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)[2:]
    for cell in first_cells:
        named = re.findall(r"[a-z]+(?:_[a-z]+)+", re.sub(r"\{.*?\}", "", cell))
        assert named, cell
        assert set(named) <= names, cell


def test_the_settings_it_speaks_of_exist(document: str) -> None:
    prose, _, tables = document.partition("## Settings")
    spoken_of = set(re.findall(r"`([A-Z][A-Z0-9]*__[A-Z0-9_]+)`", prose))
    assert spoken_of
    assert {name for name in spoken_of if f"| `{name}` |" not in tables} == set()
