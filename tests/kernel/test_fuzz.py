# SPDX-License-Identifier: Apache-2.0
"""Random VMMs against perf, a few of them. ``python -m tests.fuzz`` runs as many as one likes."""

import random
import sys
from pathlib import Path

import pytest

from tests.fuzz import oracle
from tests.fuzz.check import fuzz
from tests.fuzz.plan import End, make_plan
from tests.product import Product

pytestmark = pytest.mark.kernel

RUNS = 18


@pytest.mark.alone
def test_random_vmms_are_counted_as_perf_counts_them(product: Product, tmp_path: Path) -> None:
    if gap := oracle.gap():
        pytest.skip(gap)
    first = random.SystemRandom().randrange(1 << 32)
    sys.stderr.write(f"the first seed is {first}\n")
    found = [finding for few in fuzz(product, list(range(first, first + RUNS)), tmp_path) for finding in few]
    assert [f"seed {finding.ran.plan.seed}: {finding.wrong}" for finding in found if finding.wrong] == []
    assert sum(finding.ran.counted.faults for finding in found) > RUNS


def test_plans_are_of_every_kind() -> None:
    plans = [make_plan(seed) for seed in range(200)]
    assert {plan.end for plan in plans} == set(End)
    assert {vm.threads for plan in plans for vm in plan.vms} == {"own", "new", "shared"}
    assert {step.swap for plan in plans for vm in plan.vms for step in vm.steps} == {"not", "null", "other"}
