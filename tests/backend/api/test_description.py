# SPDX-License-Identifier: Apache-2.0
"""The description of the API: complete, and kept by what is served."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from backend.store import open_store
from tests.backend.serving import make_server

TOP = Path(__file__).parents[3]
DOCUMENT = TOP / "docs" / "http-api.md"


@pytest.fixture(scope="module")
def given(migrated_file: Path) -> bytes:
    """Return the description that the server gives."""
    with closing(open_store(f"sqlite:///{migrated_file}")) as store:
        return make_server(store).request("GET", "/api/v1/openapi.json").content


@pytest.fixture
def description(given: bytes) -> dict[str, Any]:
    """Return the description, for one test."""
    return dict(json.loads(given))


def operations(description: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of each operation."""
    return [
        (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"] == "3.1.0"


def test_every_route_is_documented(description: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    missing = [
        f"{method} {path}" for method, path, _ in operations(description) if f"`{method} {path}" not in text
    ]
    assert missing == []


def test_every_parameter_is_documented(description: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    names = {
        item["name"]
        for _, _, operation in operations(description)
        for item in operation.get("parameters", ())
    }
    assert [name for name in sorted(names) if f"`{name}`" not in text and f"{{{name}}}" not in text] == []


def test_every_parameter_says_what_it_is(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        for item in operation.get("parameters", ()):
            assert item.get("description"), f"{method} {path}: {item['name']}"


def test_every_operation_says_what_it_does(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        assert operation["summary"], f"{method} {path}"
        assert operation["description"], f"{method} {path}"


def test_every_error_is_a_problem(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], f"{method} {path} {status}"
                assert response["description"]
        assert "422" not in operation["responses"]


def test_reading_needs_a_token_or_a_session_and_ingest_its_own_token(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        names = {name for scheme in operation.get("security", ()) for name in scheme}
        if path == "/api/v1/ingest":
            assert names == {"ingest_token"}
        elif path.startswith("/api/v1/vms/{id}/record") and method != "GET":
            assert names == {"record_token", "session"}
        elif (method == "GET" and path.startswith("/api/")) or path == "/api/v1/decode":
            assert names == {"read_token", "session"}, path
        else:
            assert names == set(), path


def test_it_is_valid(description: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(description).iter_errors()] == []


def test_each_operation_has_a_short_name_of_its_own(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names), names


def test_every_time_says_that_it_is_one(description: dict[str, Any]) -> None:
    times = [
        (name, field, schema)
        for name, body in description["components"]["schemas"].items()
        for field, schema in body.get("properties", {}).items()
        if any("2026-01-31T" in str(example) for example in schema.get("examples", ()))
    ]
    assert times
    assert [(name, field) for name, field, schema in times if "date-time" not in str(schema)] == []
