"""What does not fit is counted as lost, and never taken for something else."""

from pathlib import Path

import pytest

from collector.probe import loader
from collector.probe.headers import ensure_headers
from collector.probe.loader import Probes
from collector.probe.plan import make_plan
from demo.exact import ExactGuest, Order

pytestmark = pytest.mark.kernel

FAULTS = 307


def _attached(headers_cache: Path) -> Probes:
    headers = ensure_headers(headers_cache)
    return Probes(make_plan((headers / "include" / "vmlinux.h").read_text()), headers)


def test_nothing_is_counted_for_a_vm_that_has_no_room(
    headers_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_VMS", 1)
    with _attached(headers_cache) as probes:
        for _ in range(3):
            with ExactGuest(Order(write=FAULTS)) as guest:
                guest.follow("full")
        probes.detach()
        known = probes.vms()
        counted = {key[:2] for key in (*probes.fault_counts(), *probes.exit_counts())}
        lost = probes.lost()["keys_full"]
    assert len(known) == 1
    assert counted <= set(known)
    assert lost >= 2 * FAULTS


def test_a_fault_that_has_no_room_is_counted_as_lost(
    headers_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_KEYS", 1)
    with _attached(headers_cache) as probes:
        with ExactGuest(Order(write=FAULTS)) as guest:
            extra = guest.follow("full").extra_faults
        probes.detach()
        kept = sum(counters[0] for counters in probes.fault_counts().values())
        exits = sum(probes.exit_counts().values())
        lost = probes.lost()["keys_full"]
    # Of whatever else runs on this machine, too, what is not kept is lost.
    assert kept + lost >= FAULTS + extra.read + extra.write + extra.execute
    assert lost > 0
    assert exits > 0
