# SPDX-License-Identifier: Apache-2.0
"""What the API shows of a guest, and what it states as lost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.product import Product

FIGURES = ("faults", "read", "write", "execute", "memory_fault_exits", "bare_error_exits", "exit_records")
Figures = Counter[str]
"""By the names of ``FIGURES``."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A guest as it is shown.

    ``missing``: faults that were seen and whose batches are not stored. ``uncounted``: faults that found the
    map of counts full. ``is_balanced``: what the ledger says of itself.
    """

    figures: Figures
    missing: int = 0
    uncounted: int = 0
    is_balanced: bool = True


@dataclass(frozen=True, slots=True)
class ShownBatches:
    """What became of the host's batches, and everything that was lost by kind."""

    stored: int
    dropped: int
    under_way: int
    lost: dict[str, int]


def shown_guest(product: Product, pid: int) -> Shown:
    """Ask for the VM of a process; nothing is shown of one that is not known."""
    vm = product.vm(pid)
    if vm is None:
        return Shown(Counter())
    flags = product.flags(vm["id"])
    figures = {name: int(vm[name]) for name in ("faults", "memory_fault_exits", "bare_error_exits")}
    figures |= {name: flags.get(name, 0) for name in ("read", "write", "execute")}
    figures["exit_records"] = sum(1 for _ in _exits(product, vm["id"]))
    (ledger,) = _ledger(product, vm=vm["id"])["vms"]
    return Shown(Counter(figures), ledger["missing"], ledger["uncounted"]["total"], ledger["balanced"])


def shown_batches(product: Product) -> ShownBatches:
    """Ask for the host's account."""
    (host,) = _ledger(product, host=product.host)["hosts"]
    (status,) = product.get("status")["hosts"]
    batches = host["batches"]
    return ShownBatches(batches["stored"], batches["dropped"], batches["under_way"], dict(status["lost"]))


def _ledger(product: Product, **parameters: str) -> Any:
    # Totals are of the range; missing faults and batches are of all time.
    return product.get("ledger", **parameters, from_="now-90d", to="now", step="1d")


def _exits(product: Product, vm_id: str) -> Iterable[Any]:
    page = product.get("exits", vm=vm_id, limit=1000)
    yield from page["items"]
    while page["next_cursor"]:
        page = product.get("exits", vm=vm_id, limit=1000, cursor=page["next_cursor"])
        yield from page["items"]
