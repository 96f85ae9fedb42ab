"""The command ``record`` beside a collector that runs, as the page gives it."""

import subprocess

import pytest

from tests.kernel.guests import start_guest, told_by
from tests.product import TOP, Product

pytestmark = pytest.mark.kernel


def test_the_command_that_the_page_gives_works_where_it_is_pasted(own_product: Product) -> None:
    guest = start_guest(write=200, name="rec-guest", hold=True)
    try:
        told = told_by(guest.stdout.readline() if guest.stdout else b"")
        vm = own_product.vm_with(told.pid, faults=told.faults)
        collector = own_product.get(f"vms/{vm['id']}")["collector"]
        command = [collector["program"], "record", "rec-guest", "--data-dir", collector["data_dir"]]
        # Elsewhere than in the checkout, and with nothing of this process's settings.
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP)}
        done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            f"every fault of rec-guest (id {vm['reported_id']}, process {told.pid}) is"
        )
        wrong = [*command[:2], "rec-gest", *command[3:]]
        done = subprocess.run(wrong, cwd="/", env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "knows no running VM 'rec-gest'" in done.stderr
        assert "like it: 'rec-guest'" in done.stderr
    finally:
        guest.communicate(timeout=60)
