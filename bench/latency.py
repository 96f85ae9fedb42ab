"""From the end of a real guest to its exact counts in the REST answer; the limit is two seconds.

python -m bench.latency [--guests 20]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.kernel.guests import run_guest
from tests.product import Product

LIMIT_S = 2.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        product = Product(Path(directory))
        try:
            product.start_server()
            product.start_collector()
            taken = [_one(product, 1000 + number) for number in range(options.guests)]
        finally:
            product.stop()
    worst = max(taken)
    print(f"{len(taken)} guests: median {statistics.median(taken):.2f} s, worst {worst:.2f} s", end="")
    print(f", {worst / LIMIT_S:.2f} of the limit of {LIMIT_S:g} s")


def _one(product: Product, faults: int) -> float:
    told = run_guest(write=faults)
    ended = time.monotonic()
    product.vm_with(told.pid, faults=told.faults)
    return time.monotonic() - ended


if __name__ == "__main__":
    main()
