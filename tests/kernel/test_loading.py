# SPDX-License-Identifier: Apache-2.0
"""Compiling takes its time, and ends when it is asked to."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import CompileTimeoutError, ProbeError
from collector.probe.compiler_process import Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.sides import Sides
from collector.probe.source import FOLDER, make_source

pytestmark = pytest.mark.kernel


def test_a_deadline_that_is_too_short_is_named_as_such(headers_cache: Path) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    with pytest.raises(CompileTimeoutError, match=r"within 0\.01 s"):
        load(plan, make_source(plan), headers, terms=Terms(deadline_s=0.01))


def test_it_is_given_up_when_the_collector_is_to_end(headers_cache: Path) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    with pytest.raises(ProbeError, match="stopped while"):
        load(plan, make_source(plan), headers, terms=Terms(is_cancelled=lambda: True))


def test_a_counter_that_has_another_name_in_the_programs_is_no_zero(
    headers_cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "programs"
    shutil.copytree(FOLDER, folder)
    for path in folder.iterdir():
        path.write_text(re.sub(r"\bprefetched\b", "mapped_ahead", path.read_text()))
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    with pytest.raises(ProbeError, match="the programs' own maps lack prefetched"):
        load(plan, make_source(plan, folder=folder), headers)


@pytest.mark.parametrize("sides", [Sides.RAW, Sides.BOTH])
def test_the_programs_for_hosts_with_tdx_load(headers_cache: Path, sides: Sides) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    plan = replace(plan, macros=(*plan.macros, "WITH_TDX"))
    loaded = load(plan, make_source(plan), headers, sides=sides)
    names = {name.partition(":")[2] for name in plan.attach}
    assert names <= set(loaded.programs)
    loaded.close()
