# SPDX-License-Identifier: Apache-2.0
"""The command ``record`` beside a collector that runs, as the page gives it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from collector.sampling.requests import RecordRequests
from collector.settings import requests_file
from demo.exact import ExactGuest, Order
from tests.kernel.guests import start_guest, truth_of
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel


def test_the_command_that_the_page_gives_works_where_it_is_pasted(own_server: Product) -> None:
    # On a busy machine it may well take more than its budget.
    own_server.start_collector("--budget", "0")
    guest = start_guest(write=200, name="rec-guest", hold=True)
    try:
        truth = truth_of(guest.stdout.readline() if guest.stdout else b"")
        vm = own_server.vm_with(truth.pid, faults=truth.faults)
        collector = own_server.get(f"vms/{vm['id']}")["collector"]
        command = [collector["program"], "record", "rec-guest", "--for", "1"]
        command += ["--data-dir", collector["data_dir"]]
        # Elsewhere than in the checkout, and with nothing of this process's settings.
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP)}
        done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            f"every fault of rec-guest (id {vm['reported_id']}, process {truth.pid}) is"
        )
        assert "rec-guest took no fault in" in done.stdout
        wrong = [*command[:2], "rec-gest", *command[3:]]
        done = subprocess.run(wrong, cwd="/", env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "knows no running VM 'rec-gest'" in done.stderr
        assert "like it: 'rec-guest'" in done.stderr
    finally:
        guest.communicate(timeout=60)


def _record_while_it_faults(product: Product, at_most: int) -> tuple[int, str, int]:
    """Record a guest, and let it fault while that is so; the status, what is said, and the faults."""
    command = [sys.executable, "-m", "collector", "record", str(os.getpid()), "--for", "600"]
    command += ["--data-dir", str(product.data_dir)]
    requests = RecordRequests(requests_file(product.data_dir))
    with ExactGuest(Order(write=at_most)) as guest:
        guest.follow("before")
        product.vm_with(os.getpid(), faults=at_most)
        recording = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: _begun(requests) or None, SEEN_S, "the recording has begun")
            guest.follow("while it is recorded")
            recording.send_signal(signal.SIGINT)
            output, _ = recording.communicate(timeout=SEEN_S)
        finally:
            recording.kill()
            recording.wait()
    return recording.returncode, output, at_most


def _begun(requests: RecordRequests) -> bool:
    answers = [requests.answer_to(request) for request in requests.active(time.time_ns())]
    return any(answer is not None and answer.since_ns for answer in answers)


def test_that_every_fault_was_recorded_is_said_with_their_number(own_server: Product) -> None:
    own_server.start_collector("--budget", "0")
    status, output, faults = _record_while_it_faults(own_server, 5003)
    assert f"was recorded: {faults} faults in" in output
    assert status == 0


def test_that_the_budget_did_not_allow_it_is_said_with_what_there_is(own_server: Product) -> None:
    own_server.start_collector("--budget", "0.01", "--interval", "0.1", "--records", "all")
    wait_for(lambda: _holds_back(own_server) or None, SEEN_S, "the governor holds back")
    status, output, faults = _record_while_it_faults(own_server, 5003)
    assert f"was recorded: 0 of {faults} faults in" in output
    assert "none for" in output
    assert "0.01% granted" in output
    assert status == 3


def _holds_back(product: Product) -> bool:
    newest = product.get("host-events", host=product.host)["items"][0]
    return (newest["kind"], newest["one_in"]) == ("records", 0)
