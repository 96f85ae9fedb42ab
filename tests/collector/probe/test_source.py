# SPDX-License-Identifier: Apache-2.0
"""What programs and user space have in common is written down once, by names."""

import re
from itertools import chain

import pytest

from collector.probe.layout import CONCERNS
from collector.probe.plan import TRACEPOINTS, Flavour, Plan
from collector.probe.sides import RAW_SIDE_ALONE
from collector.probe.source import FOLDER, Limits, make_source
from faultmodel.kinds import LossKind

PLAN = Plan(Flavour("vmx", "ept", fires_page_fault=True), (), (), ())


def _names(structure: str) -> list[str]:
    """The fields of a structure in event.h."""
    found = re.search(rf"^struct {structure} \{{\n(.*?)^\}};", (FOLDER / "event.h").read_text(), re.M | re.S)
    assert found is not None
    return re.findall(r"^\tu\d+ (\w+);", found[1], re.MULTILINE)


def test_every_loss_that_the_programs_count_has_a_name() -> None:
    assert _names("lost")
    assert set(_names("lost")) <= {kind.value for kind in LossKind} - {"other"}


def test_what_is_noted_as_used_are_maps() -> None:
    assert set(_names("used")) <= {*chain(*CONCERNS.values())}


def test_every_tracepoint_has_a_count_of_its_raw_side_alone() -> None:
    tracepoints = {name.partition(":")[2] for names in TRACEPOINTS.values() for name in names}
    assert set(_names("raw_side_only")) == tracepoints - RAW_SIDE_ALONE


@pytest.mark.parametrize(("limit", "flag"), [(None, "SYNDROMES"), (0, "0"), (5, "5")])
def test_a_limit_of_none_in_place_is_not_that_of_all(limit: int | None, flag: str) -> None:
    assert f"-DSYNDROMES_IN_PLACE={flag}" in make_source(PLAN, Limits(syndromes=limit)).flags
