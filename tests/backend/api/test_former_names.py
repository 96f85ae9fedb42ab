# SPDX-License-Identifier: Apache-2.0
"""Names of the previous release: accepted in parameters, in answers, and described as deprecated."""

import pytest

from faultmodel.record import REASON_NOT_SHOWN, ExitKind
from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, exit_count, exit_record, make_batch

RANGE = {"from_": START_MS, "to": START_MS + 2000}


@pytest.fixture
def exits(server: Server) -> Server:
    counts = [exit_count(count=3), exit_count(reason=REASON_NOT_SHOWN, count=7)]
    records = [exit_record(), exit_record(kind=ExitKind.UNCLASSIFIED_ERROR, reason=REASON_NOT_SHOWN)]
    server.apply(make_batch(exit_counts=counts, exits=records))
    return server


def test_exits_are_found_by_the_former_name_of_their_kind(exits: Server) -> None:
    (item,) = exits.get("/api/v1/exits", kind="untold_error")["items"]
    assert (item["kind"], item["reason"]) == ("unclassified_error", REASON_NOT_SHOWN)


def test_rates_of_a_former_name_are_those_of_the_name(exits: Server) -> None:
    names = ("untold_error_exits", "unclassified_error_exits")
    former, current = (
        exits.get("/api/v1/rates", metric=name, step="1s", **RANGE)["series"] for name in names
    )
    assert former == current
    assert [one["total"] for one in former] == [7]


@pytest.mark.parametrize("order", ["untold_error_exits", "-untold_error_exits"])
def test_vms_are_sorted_by_a_former_name_and_have_the_count_under_both(exits: Server, order: str) -> None:
    found = exits.get("/api/v1/vms", sort=order, totals=True)
    for one in (*found["items"], found["totals"], exits.get(f"/api/v1/vms/{VM_ID}")["vcpus"][0]):
        assert (one["unclassified_error_exits"], one["untold_error_exits"]) == (7, 7)


@pytest.mark.parametrize("body", ["ListedVm", "VmTotals", "Vcpu"])
def test_the_former_name_is_described_as_deprecated(server: Server, body: str) -> None:
    fields = server.get("/api/v1/openapi.json")["components"]["schemas"][body]["properties"]
    assert fields["untold_error_exits"]["deprecated"]
    assert "deprecated" not in fields["unclassified_error_exits"]
