"""What the OpenAPI document says is what the front end does: schemathesis asks, and every answer is a described one."""

import os
import warnings

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from coverslip.archive.states import State
from service.description import document
from service.website import ROUTERS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("COVERSLIP_SCHEMA_EXAMPLES", "4"))
"""Requests per operation; a run by hand takes many."""
OPERATIONS = sorted((path, method) for path, item in document(ROUTERS)["paths"].items() for method in item)


@pytest.fixture(scope="module")
def described(house):
    """The document the house gives out, asked about slides that are there: released, in review, withdrawn, waiting."""
    states = (State.RELEASED, State.IN_REVIEW, State.WITHDRAWN, State.QUEUED)
    known = [house.slide(state) for state in states] + ["nothing"]
    with house.client() as client:
        found = client.get("/api/v1/openapi.json").json()
    for item in found["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "sid":
                    parameter["schema"] = {"type": "string", "enum": known}
                elif parameter["in"] == "path" and parameter["schema"].get("type") == "integer":
                    parameter["schema"] = {"type": "integer", "minimum": 0, "maximum": 12}
    schema = schemathesis.openapi.from_dict(found)
    schema.config.update(base_url=house.url)
    return schema


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=" ".join)
def test_every_answer_is_described(house, described, path, method):
    """Statuses, content types, headers and bodies are those of the document, whoever asks, and none is a 5xx crash."""
    operation = described[path][method]
    roles = st.sampled_from([None, "curator", "submitter", "ops"])

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), role=roles)
    def ask(case, role):
        headers = {"Authorization": f"Bearer {house.keys[role]}"} if role else {}
        if path.startswith("/uploads"):
            headers["Tus-Resumable"] = "1.0.0"
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=30)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ask()


def test_nothing_is_left_out():
    """Every address a program may ask is in the document, and every operation has a name of its own."""
    paths = document(ROUTERS)["paths"]
    for told in ("/slides/{sid}.dzi", "/iiif/3/{sid}/info.json", "/slides/{sid}.zip", "/uploads/{uid}"):
        assert told in paths
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(names) == len(set(names)) == len(OPERATIONS)
