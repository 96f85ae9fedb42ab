# SPDX-License-Identifier: Apache-2.0
"""From a guest's fault to a viewer of the live page who has its exact count, at two intervals.

A real guest faults at random moments, and notes when. A viewer listens to the server's events, and asks all
that the page's overview asks, when the page does. Run as root, where nothing else traces KVM.

    python -m bench.latency [--samples 300]
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.live.delays import Delays, delays, lines
from bench.live.events import Events
from bench.live.guest import BurstingGuest, bursting_guest
from bench.live.overview import Answer, Overview
from bench.live.viewer import watch
from tests.product import Product

LIMITS_MS = {1.0: 1500.0, 0.1: 300.0}
"""Of the 99th percentile, by the collector's interval in seconds; 1 s is its default."""
_LEAST_SAMPLES = 100
_LATE_S = 60.0


def main() -> None:
    """Measure and print."""
    samples = _samples()
    if os.geteuid() != 0:
        sys.exit("tracing takes root: run this with sudo")
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as directory:
        product = Product(Path(directory))
        try:
            product.start_server()
            measured = []
            for interval_s, limit_ms in LIMITS_MS.items():
                measured.append(_measure(product, interval_s, limit_ms, samples))
                loads.append(os.getloadavg()[0])
        except (OSError, RuntimeError) as exc:
            sys.exit(f"not measured: {exc}")
        finally:
            product.stop()
    print(*lines(measured), sep="\n")
    load = f"{min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores"
    print(f"\n{samples} bursts of faults at each interval; load average {load}.")


def _measure(product: Product, interval_s: float, limit_ms: float, samples: int) -> Delays:
    print(f"an interval of {interval_s:g} s", file=sys.stderr, flush=True)
    product.restart_collector("--interval", f"{interval_s:g}")
    # Two bursts to an interval, on average; where they lie in it is random.
    with (
        bursting_guest(samples, longest_gap_s=interval_s) as guest,
        Events(product.url) as events,
        Overview(product.url, guest.pid) as overview,
    ):
        answers = _see_all(guest, events, overview, within_s=samples * interval_s + _LATE_S)
        return delays(interval_s, limit_ms, guest.bursts(), events.heard, answers)


def _see_all(guest: BurstingGuest, events: Events, overview: Overview, within_s: float) -> list[Answer]:
    """Let the guest begin once it is seen, and watch until all that it did is seen."""
    deadline = time.monotonic() + within_s
    answers: list[Answer] = []
    with closing(watch(events, overview)) as watched:
        for answer in watched:
            if not answers and answer.faults == guest.first_faults:
                guest.begin()
            if answer.faults >= guest.first_faults:
                answers.append(answer)
            if answer.faults >= guest.all_faults or time.monotonic() > deadline:
                break
    if answer.faults != guest.all_faults:
        sys.exit(f"of {guest.all_faults} faults, {answer.faults} were seen within {within_s:g} s")
    return answers


def _samples() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--samples", type=_number, default=300, help="bursts of faults at each interval (%(default)s)"
    )
    samples: int = parser.parse_args().samples
    return samples


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < _LEAST_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be a number, {_LEAST_SAMPLES} or more")
    return int(text)


if __name__ == "__main__":
    main()
