"""The generated document is complete enough for client generators."""

from typing import Any

import pytest

from gateway.app import create_app
from gateway.lifetime import Lifetime
from gateway.settings import GatewaySettings
from stemcore.errors import ErrorCode

PUBLIC_TAGS = {"models", "health"}


def document() -> dict[str, Any]:
    settings = GatewaySettings.model_validate(
        {"database": {"dsn": "x"}, "storage": {"root": "x"}, "auth": {"secret": "x" * 32}}
    )
    return create_app(settings, lifetime=Lifetime()).openapi()


DOCUMENT = document()
OPERATIONS = {
    f"{method} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(references(item) for item in value))
    return set()


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    assert all(identifier.isidentifier() for identifier in ids)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_told_in_full(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    for status, response in operation["responses"].items():
        assert response["description"], status
        if int(status) >= 400:
            assert list(response["content"]) == ["application/problem+json"], status
            assert response["content"]["application/problem+json"]["examples"], status


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_needs_a_token_says_so(name: str) -> None:
    operation = OPERATIONS[name]
    public = PUBLIC_TAGS.issuperset(operation["tags"]) or "/auth/" in name
    assert ("security" in operation) == (not public)
    if not public:
        assert {"401", "503"} <= set(operation["responses"])


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        target: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


def test_the_answers_have_examples() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    shown = [name for name in schemas if name.endswith(("Response", "Request", "Form", "Problem"))]
    nested = {
        "AliveResponse",
        "EngineResponse",
        "JobErrorResponse",
        "LicencesResponse",
        "ResultResponse",
        "SourceResponse",
    }
    for name in set(shown) - nested:
        assert "example" in schemas[name], name


def test_the_form_of_a_submission_is_described() -> None:
    body = OPERATIONS["post /v1/jobs"]["requestBody"]["content"]["multipart/form-data"]
    form = DOCUMENT["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    assert form["required"] == ["file"]
    assert form["properties"]["file"]["format"] == "binary"
    options = {"output", "overlap", "shifts", "seed", "complement", "consistency", "clip"}
    assert options | {"model", "stems", "priority", "metadata"} < set(form["properties"])


def test_the_codes_are_one_list() -> None:
    listed = DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"]
    assert set(listed) == {code.value for code in ErrorCode}
