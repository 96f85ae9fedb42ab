# SPDX-License-Identifier: Apache-2.0
"""Loads what looks at VMs beside counting. If the kernel refuses it, a check says so and counting goes on."""

import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from collector.counting.cause_watcher import CauseWatcher
from collector.counting.handlers import Handlers
from collector.counting.kvm_counts import KvmCountsWatcher
from collector.counting.livelocks import LivelockWatcher
from collector.counting.memslots import MemslotWatcher
from collector.counting.outstanding import OutstandingWatcher
from collector.counting.waits import WaitWatcher
from collector.counting.watching import VmStates, Watcher, Watchers, check
from collector.errors import ProbeError
from collector.probe import looks, mappings, symbols, userfaultfds
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Terms
from collector.probe.plan import Plan
from collector.probe.probes import Probes
from faultmodel import arch
from faultmodel.record import Check

_HAS_COUNTS = "ARCH_X86_64"
"""The architecture on which KVM counts faults at all."""
_NO_COUNTS = "KVM's own counts are not known: this kernel has not all of them, as before 5.18"
_NO_MEMSLOTS = "memslots are not known: this kernel keeps them in another way, as before 5.17"


Found = tuple[Sequence[Watcher], Sequence[Check]]
"""Watchers, and checks of those that could not be made."""


@contextmanager
def looking(
    probes: Probes, plan: Plan, headers: Path, *, cache: BytecodeCache, terms: Terms
) -> Iterator[Watchers]:
    """Make the watchers of one counting. They begin when they are loaded: no reading waits for a compiler.

    :param headers: tree from ``collector.probe.headers``
    :param terms: on which programs are compiled that the cache has not
    """
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=1) as loader:
        yield Watchers(loader.submit(load_watchers, stack, probes, plan, headers, cache, terms))


def load_watchers(
    stack: ExitStack, probes: Probes, plan: Plan, headers: Path, cache: BytecodeCache, terms: Terms
) -> Found:
    """Load now. :param stack: takes what is to be closed; else as ``looking``"""
    checks: list[Check] = []
    waits = _wait_watchers(stack, probes, plan, headers, cache, terms)
    loaded = _load_looks(probes, plan, headers, cache, terms, checks)
    if loaded is None:
        return [*waits, *_outstanding(waits, plan, None, checks[-1].found)], checks
    stack.enter_context(closing(loaded))
    shown = _load_mappings(plan, headers, cache, terms, checks)
    if shown is not None:
        stack.enter_context(closing(shown))
    states = VmStates(loaded)
    watchers = _watchers(loaded, states, shown, probes, plan, checks)
    why_not = "the kernel does not show memslots, or what is behind them"
    handlers = None
    if waits and shown is not None and loaded.shows_memslots:
        try:
            held = stack.enter_context(closing(userfaultfds.load(plan, headers, cache=cache, terms=terms)))
            handlers = Handlers(loaded, states, shown, held)
        except ProbeError as exc:
            why_not = str(exc)
    return [*waits, *watchers, *_outstanding(waits, plan, handlers, why_not)], checks


def _outstanding(
    waits: Sequence[WaitWatcher], plan: Plan, handlers: Handlers | None, why_not: str
) -> list[OutstandingWatcher]:
    """:param why_not: why there are no handlers, if there are none"""
    return [
        OutstandingWatcher(
            one.waits_for if one.names_stacks else None,
            handlers,
            "" if handlers is not None else why_not,
            form=plan.flavour.page_fault_format,
        )
        for one in waits
    ]


def _wait_watchers(
    stack: ExitStack, probes: Probes, plan: Plan, headers: Path, cache: BytecodeCache, terms: Terms
) -> list[WaitWatcher]:
    if probes.views.waits is None:
        return []
    try:
        named = stack.enter_context(closing(symbols.load(plan, headers, cache=cache, terms=terms)))
    except ProbeError:
        named = None
    return [WaitWatcher(named, probes.stack)]


def _watchers(
    loaded: looks.Looks,
    states: VmStates,
    shown: mappings.Mappings | None,
    probes: Probes,
    plan: Plan,
    checks: list[Check],
) -> list[Watcher]:
    memslots = MemslotWatcher(loaded, states, shown)
    # First, since a VMM whose exits are looked at may soon end.
    architecture = arch.get(platform.machine())
    found: list[Watcher] = [CauseWatcher(loaded, states, shown, architecture, memslots.mappings_before)]
    if loaded.shows_memslots:
        found.append(memslots)
    else:
        checks.append(check(memslots.name, _NO_MEMSLOTS))
    if loaded.shows_counts:
        found.append(KvmCountsWatcher(loaded, states, probes.places, memslots.could_have))
    elif _HAS_COUNTS in plan.macros:
        checks.append(check(KvmCountsWatcher.name, _NO_COUNTS))
    if loaded.shows_counts or _HAS_COUNTS not in plan.macros:
        found.append(LivelockWatcher(loaded, states))
    return found


def _load_looks(
    probes: Probes, plan: Plan, headers: Path, cache: BytecodeCache, terms: Terms, checks: list[Check]
) -> looks.Looks | None:
    try:
        return looks.load(plan, headers, probes.handles.maps["slots"], cache=cache, terms=terms)
    except ProbeError as exc:
        checks.append(check("looks", f"memslots and KVM's own counts are not known: {exc}"))
        return None


def _load_mappings(
    plan: Plan, headers: Path, cache: BytecodeCache, terms: Terms, checks: list[Check]
) -> mappings.Mappings | None:
    try:
        return mappings.load(plan, headers, cache=cache, terms=terms)
    except ProbeError as exc:
        checks.append(check("mappings", f"what is behind memslots is not known: {exc}"))
        return None
