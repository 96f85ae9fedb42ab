# SPDX-License-Identifier: Apache-2.0
"""python -m tests.fuzz: random VMMs, counted by the product and by perf at once. Takes root, and KVM."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz import oracle
from tests.fuzz.check import Finding, fuzz
from tests.product import Product
from tests.tracing import kernel_gap


def main() -> int:
    """Run as many as asked for; the exit code is 1 where something was counted wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many VMMs (200)")
    parser.add_argument("--seed", type=int, help="of the first VMM; each next one has the next number")
    options = parser.parse_args()
    if gap := kernel_gap() or oracle.gap():
        print(f"fuzz: cannot run here: {gap}", file=sys.stderr)
        return 2
    first = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"fuzz: the first seed is {first}", flush=True)
    seeds = list(range(first, first + options.runs))
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as name:
        product = Product(Path(name))
        try:
            product.start_server()
            product.start_collector()
            for few in fuzz(product, seeds, Path(name)):
                found += few
                print("".join(f"{_line(finding)}\n" for finding in few), end="", flush=True)
        finally:
            product.stop()
    wrong = [finding for finding in found if finding.wrong]
    ran = {finding.ran.plan.seed: finding.ran for finding in found}.values()
    print(
        f"fuzz: {len(ran)} VMMs with {sum(finding.vms for finding in found)} VMs,"
        f" {sum(one.counted.faults for one in ran)} faults, {sum(one.counted.exits for one in ran)} exits:"
        f" {f'{len(wrong)} counted WRONG' if wrong else 'all counted right'}"
    )
    return int(bool(wrong))


def _line(finding: Finding) -> str:
    plan, counted = finding.ran.plan, finding.ran.counted
    kind = f"{plan.end}{'' if plan.is_honest else ', descriptors swapped'}"
    what = f"{finding.vms} VMs, {counted.faults} faults, {counted.exits} exits"
    return f"seed {plan.seed}: {kind}: {what}: {finding.wrong or 'right'}"


if __name__ == "__main__":
    sys.exit(main())
