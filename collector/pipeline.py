# SPDX-License-Identifier: Apache-2.0
"""Connects the collector's steps, from the probes to the shipper. ``counting.session`` reads one counting."""

import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector.batches.host import HostView
from collector.batches.outbox import Outbox
from collector.counting.checks import capabilities, first_missing
from collector.counting.clock import boot_id, measure
from collector.counting.cost import CostMeter
from collector.counting.cycles import Cycles
from collector.counting.host_lock import Holder, HostLock
from collector.counting.looking import looking
from collector.counting.notes import note
from collector.counting.pins import Pins
from collector.counting.predecessor import Predecessor, ReadLast
from collector.counting.reader import Reader
from collector.counting.session import Session
from collector.counting.time_slices import ask_for_long_slices
from collector.counting.watching import Watchers
from collector.errors import ProbeError
from collector.private_files import check_data_directory
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Terms
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.instant import Instant
from collector.probe.loading import load
from collector.probe.opener import Opener
from collector.probe.patience import LONGEST_S, Patience
from collector.probe.plan import Plan, find_flavour, is_idle, make_plan
from collector.probe.probes import Probes
from collector.probe.source import Source, make_source
from collector.sampling.governor import Governor
from collector.sampling.hooks import HookGovernors, HookPolicy
from collector.sampling.policy import SamplingPolicy
from collector.sampling.requests import RecordRequests
from collector.sampling.server_requests import ServerRequests
from collector.settings import Settings
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.host import part_by_host
from collector.spool.queue import Spool
from collector.stop import Stop
from collector.vms.file import VmFile
from collector.vms.identity.process import host_proc
from collector.vms.identity.process_snapshots import ProcessSnapshots
from collector.vms.identity.uevents import KvmEvents
from collector.vms.table import VmTable
from faultmodel import arch
from faultmodel.kinds import CheckState, EventKind, EventReason, HostState
from faultmodel.record import DETAIL_LENGTH, Check, Host, HostEvent, check_words
from faultmodel.sections import Content
from faultmodel.text import cut

logger = logging.getLogger(__name__)

RETRY_S = 2.0
"""How long to wait before trying again to attach, where the host lacks something."""
_COMPILING = (
    "compiling the programs for this kernel, which takes seconds, and minutes on a slow or busy host;"
    " counting begins when they are attached"
)
FLUSH_S = 2.0
"""How long a collector that is to stop waits for the server to take its batches."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """The objects that belong to the host rather than to one counting."""

    events: KvmEvents
    table: VmTable
    memory: VmFile


class Pipeline:
    """One collector, from attaching to its ordered end."""

    def __init__(self, settings: Settings, stop: Stop, opener: Opener) -> None:
        """:param stop: set from outside to end"""
        self._opener = opener
        self._settings = settings
        self._stop = stop
        self._architecture = arch.for_machine(platform.machine())
        self._boot_id = boot_id()
        self._host = HostView(settings.host, self._boot_id, self._architecture.name, settings.data_dir)
        self._pins = Pins(settings.pins_file, settings.bpffs, settings.host)
        me = Holder(os.getpid(), settings.host, str(settings.data_dir.absolute()))
        self._machine = HostLock(settings.lock_file, self._pins, me)
        self._waits_for = ""
        self._in_vain = False
        """Whether the last try failed at compiling, loading or attaching, though nothing was missing."""
        self._governor = Governor(settings.budget)
        self._hook_governors = HookGovernors(settings.hook_budget)
        self._of_server = ServerRequests()
        self._patience = Patience()
        self._predecessor = Predecessor(self._pins, settings.host)

    def run(self) -> None:
        """Collect until ``stop`` is set. If the host lacks something, report it, wait and try again.

        :raises CollectorError: the settings or the spool cannot be used
        """
        settings = self._settings
        logger.info(
            "starting host=%s kernel=%s data_dir=%s", settings.host, platform.release(), settings.data_dir
        )
        check_data_directory(settings.data_dir)
        with Spool(settings.spool_directory, max_bytes=settings.spool_bytes) as spool:
            uplink = Uplink(settings.server, token_file=settings.token_file, ca_file=settings.ca_file)
            shipper = Shipper(spool, uplink, self._of_server.take)
            self._open_predecessor(spool)
            part_by_host(spool, settings.host)
            shipper.start()
            try:
                self._collect_until_stopped(spool, Outbox(spool, self._architecture.name))
            finally:
                self._predecessor.abandon(is_for_successor=self._stop.leaves_counting)
                self._machine.close()
                shipper.flush(FLUSH_S)

    def _open_predecessor(self, spool: Spool) -> None:
        """Open the set that was left counting; while the kernel refuses, wait and try again.

        Until then no batch can be made: its number must follow that of the newest batch, which is in the set.
        """
        while not self._stop.is_set():
            try:
                self._predecessor.open(spool)
                return
            except ProbeError as exc:
                logger.warning("waiting reason=%r retry_s=%g", str(exc), RETRY_S)
                self._stop.wait(RETRY_S)

    def _collect_until_stopped(self, spool: Spool, outbox: Outbox) -> None:
        while not self._stop.is_set():
            try:
                if self._is_alone(outbox):
                    self._collect(spool, outbox)
            except ProbeError as exc:
                missing = first_missing(self._settings.headers_directory, self._settings.bpffs)
                check = _waits_for("attach", exc.found, exc.remedy) if missing is None else missing.check()
                logger.warning("waiting reason=%r retry_s=%g", check_words(check), RETRY_S)
                outbox.send(self._host.waiting(check), Content())
                # A collector that cannot count does not keep others from counting.
                self._machine.close()
                self._stop.wait(RETRY_S)

    def _is_alone(self, outbox: Outbox) -> bool:
        """Return whether no other collector counts on this machine; if one does, report it and wait."""
        holder = self._machine.take()
        if holder is None:
            self._waits_for = ""
            return True
        found = f"another collector counts on this machine ({holder})"
        check = _waits_for("counting", found, "end it, and this one begins")
        if found != self._waits_for:
            self._waits_for = found
            logger.warning("waiting reason=%r retry_s=%g", check_words(check), RETRY_S)
        if holder.host != self._settings.host:
            # If both have the same name, only the other one reports on the host.
            outbox.send(self._host.waiting(check), Content())
        self._stop.wait(RETRY_S)
        return False

    def _collect(self, spool: Spool, outbox: Outbox) -> None:
        was_in_vain, self._in_vain = self._in_vain, False
        predecessor = self._predecessor
        predecessor.adopt(self._machine.others, spool.last_number)
        headers = ensure_headers(self._settings.headers_directory)
        with self._surroundings() as around:
            if predecessor.is_held and is_idle():
                # Attached programs would keep the KVM module from being unloaded.
                ended = predecessor.stop()
                predecessor.drain(ended, self._last_reading(self._host.waiting(_NO_GUEST), around, outbox))
            plan = make_plan(read_facts(headers))
            source = make_source(plan)
            refused = None
            probes = predecessor.go_on(source)
            if probes is None:
                if was_in_vain:
                    self._check_rights()
                probes = self._load(
                    plan,
                    source,
                    headers,
                    announce=lambda: self._say_what_takes_time(outbox, was_in_vain=was_in_vain),
                )
            else:
                self._machine.others.pause_expected()
            if probes.handles.has_both_sides:
                ask_for_long_slices()
            with probes:
                attached: list[HostEvent] = []
                if not probes.is_attached:
                    self._begin(probes, source, plan, around, outbox)
                    refused = self._pins.keep(probes, spool.last_number)
                    not_pinned = EventReason.NOT_PINNED if refused else None
                    why = "" if refused is None else refused.found
                    attached = [note(EventKind.ATTACHED, not_pinned, why)]
                self._in_vain = False
                logger.info(
                    "attached tracepoints=%s flavour=%s pinned=%s",
                    ",".join(plan.attach),
                    plan.flavour.name,
                    "yes" if refused is None else check_words(refused),
                )
                host = self._host.attached(plan, around.events, refused, probes.handles.lacking)
                try:
                    self._read(probes, host, plan, headers, around, outbox, attached)
                except ProbeError as exc:
                    # New programs will count from here on; reading this set again would count twice.
                    predecessor.give_up(str(exc))
                    raise

    def _say_what_takes_time(self, outbox: Outbox, *, was_in_vain: bool) -> None:
        logger.info(_COMPILING)
        if not self._predecessor.is_held and not was_in_vain:
            # If a predecessor counts meanwhile, the host is not waiting. After a failed try, the host's state
            # already has the reason, which this must not replace.
            outbox.send(self._host.waiting(_waits_for("programs", _COMPILING)), Content())

    def _check_rights(self) -> None:
        """Check for what a process without rights would else compile again, only to be refused.

        :raises ProbeError: they are lacking
        """
        found = capabilities()
        if found.state is CheckState.MISSING:
            self._in_vain = True
            raise ProbeError(found.found, found.remedy)

    def _load(self, plan: Plan, source: Source, headers: Path, *, announce: Callable[[], None]) -> Probes:
        """Load the programs. :param announce: called before they are compiled, if they have to be"""
        self._in_vain = True
        with self._patience.trying() as deadline_s, _module_types(self._opener) as types_fd:
            return Probes(
                load(
                    plan,
                    source,
                    headers,
                    predecessor=self._predecessor.handles,
                    types_fd=types_fd,
                    open_event=self._opener.tracepoint_event,
                    cache=BytecodeCache(self._settings.bytecode_directory),
                    terms=Terms(deadline_s, self._stop.is_set, announce),
                )
            )

    def _begin(
        self, probes: Probes, source: Source, plan: Plan, around: _Surroundings, outbox: Outbox
    ) -> None:
        """Start loaded programs, at the moment at which the predecessor's stop."""
        probes.attach(plan)
        # First: what both counted would be there twice, and nothing would say so.
        self._machine.others.pause_expected()
        ended = self._predecessor.begin(probes, source)
        host = self._host.attached(plan, around.events, None)
        self._predecessor.drain(ended, self._last_reading(host, around, outbox))

    def _last_reading(self, host: Host, around: _Surroundings, outbox: Outbox) -> ReadLast:
        """Return a function that reads a set a last time and sends the reading."""

        def read(probes: Probes, *, until: Instant, is_covered: bool, is_anew: bool) -> None:
            with self._session(probes, around, outbox) as session:
                session.collect_once(
                    host,
                    around.table,
                    around.memory,
                    until=until,
                    is_covered=is_covered,
                    is_anew=is_anew,
                )

        return read

    def _read(
        self,
        probes: Probes,
        host: Host,
        plan: Plan,
        headers: Path,
        around: _Surroundings,
        outbox: Outbox,
        notes: Iterable[HostEvent],
    ) -> None:
        with (
            self._session(probes, around, outbox) as session,
            self._looking(probes, plan, headers) as watchers,
        ):
            session.watch(watchers)
            for event in (*self._predecessor.notes(), *notes):
                session.note(event)
            # After that the counting was taken over: what is shed then is so from then on.
            session.govern(HookPolicy(probes, self._hook_governors))
            # At once, to report the host, and what was counted while no collector ran.
            session.collect_once(host, around.table, around.memory)
            self._predecessor.forget_notes()
            session.read_on(
                host,
                around.table,
                around.memory,
                interval_s=self._settings.interval_s,
                stop=self._stop,
                # With another vendor module the hardware's words have another format.
                is_over=lambda: find_flavour(platform.machine()) != plan.flavour,
            )
            self._end(session, probes, host, around)

    def _end(self, session: Session, probes: Probes, host: Host, around: _Surroundings) -> None:
        """Stop the programs and run the last cycle, which has everything that they counted."""
        if self._stop.leaves_counting:
            logger.info("counting continues, for a successor")
            session.collect_once(host, around.table, around.memory)
            return
        until = probes.pause()
        if self._stop.is_set():
            host = msgspec.structs.replace(host, state=HostState.STOPPED)
            session.note(note(EventKind.STOPPED))
        else:
            logger.info("flavour changed, attaching anew")
        session.collect_once(host, around.table, around.memory, until=until)
        # Only now: if this process is killed before, a successor still finds the last counts.
        self._pins.remove()

    @contextmanager
    def _surroundings(self) -> Iterator[_Surroundings]:
        proc = host_proc()
        with KvmEvents() as events, ProcessSnapshots(proc) as snapshots, ExitStack() as stack:
            table = stack.enter_context(
                closing(VmTable(self._boot_id, _boottime_to_utc_ns, proc, snapshots.snapshot_of))
            )
            memory = VmFile(self._settings.vms_file, self._boot_id)
            if (last_read := memory.last_read()) is not None:
                table.begin_after_gap(last_read.at_ns, last_read.clock_set_ns)
            for vm in memory.load():
                # The first cycle finds out which of these VMs have ended meanwhile.
                table.see(vm, time.time_ns())
            yield _Surroundings(events, table, memory)

    def _looking(self, probes: Probes, plan: Plan, headers: Path) -> AbstractContextManager[Watchers]:
        cache = BytecodeCache(self._settings.bytecode_directory)
        # Nobody waits for these: they may take as long as anything may.
        terms = Terms(LONGEST_S, self._stop.is_set)
        return looking(probes, plan, headers, cache=cache, terms=terms)

    @contextmanager
    def _session(self, probes: Probes, around: _Surroundings, outbox: Outbox) -> Iterator[Session]:
        settings = self._settings
        reader = Reader(probes)
        policy = SamplingPolicy(
            probes,
            settings.records,
            settings.records_per_second,
            self._governor,
            RecordRequests(settings.requests_file),
            self._of_server,
        )
        cycles = Cycles(reader, around.table, around.events, self._architecture)
        meter = CostMeter(probes, self._opener.run_times)
        session = Session(probes, reader, cycles, policy, outbox, meter)
        try:
            yield session
        finally:
            session.close()


def _waits_for(name: str, found: str, remedy: str = "") -> Check:
    found, remedy = (cut(text, DETAIL_LENGTH) for text in (found, remedy))
    return Check(name=name, state=CheckState.MISSING, found=found, remedy=remedy)


_NO_GUEST = _waits_for("flavour", "no guest can run: no vendor's module is loaded")


@contextmanager
def _module_types(opener: Opener) -> Iterator[int | None]:
    # Without the types the programs load as well, and read their arguments more slowly.
    fd = None
    with suppress(OSError):
        fd = opener.module_types()
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _boottime_to_utc_ns(boottime_ns: int) -> int:
    # Measured for every new VM, since UTC may have been stepped meanwhile.
    return measure().boottime_to_utc_ns(boottime_ns)
