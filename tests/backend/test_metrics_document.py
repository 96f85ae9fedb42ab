# SPDX-License-Identifier: Apache-2.0
"""The page about metrics has all of them, as they are shown."""

import re
from pathlib import Path

from faultmodel import metrics
from faultmodel.exposition import Family

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def row(family: Family) -> str:
    """Return a metric's line of the page."""
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {family.unit} | {labels} | {family.help} |"


def test_every_metric_has_its_line() -> None:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `kvmfaults_")]
    assert lines == [row(family) for family in (*metrics.OF_BOTH, *metrics.OF_SERVER)]


def test_no_other_metric_is_named() -> None:
    families = (*metrics.OF_BOTH, *metrics.OF_SERVER)
    known = {family.name for family in families} | {f"{metrics.STALL.name}_bucket"}
    assert set(re.findall(r"kvmfaults_[a-z_]+", DOCUMENT.read_text())) <= known


def test_names_say_what_they_are() -> None:
    for family in (*metrics.OF_BOTH, *metrics.OF_SERVER):
        assert re.fullmatch(r"kvmfaults(_[a-z]+)+", family.name)
        assert family.name.endswith("_total") is (family.kind.value == "counter")
        assert family.base.endswith(family.unit)
        assert family.help.endswith(".")


def test_the_bound_on_series_is_the_one_that_is_said() -> None:
    assert f" It has {metrics.MOST_SERIES_OF_VM} at\nmost" in DOCUMENT.read_text()
