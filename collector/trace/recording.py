# SPDX-License-Identifier: Apache-2.0
"""A recording as the batches of a host of its own.

The recording is placed so that it ends at a given moment. Its stream, boot and VMs are named after its
content and what its host is below, and where it is cut depends on the content only: to send it a second time
changes nothing, also where its host is called otherwise then, because other files came with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

from collector.trace.arm64 import Arm64Reader
from collector.trace.endings import Ended, Endings
from collector.trace.errors import LineError, TraceError, UnattributedError
from collector.trace.lines import Line, LostEvents, Unreadable, read
from collector.trace.livelocks import Livelocks
from collector.trace.qemu import QemuExits
from collector.trace.riscv import RiscvReader
from collector.trace.seen import Counted, ExitSeen, Thread, TraceReader
from collector.trace.source import chunks
from collector.trace.survey import Survey
from collector.trace.tally import Tally
from collector.trace.tasks import Machines
from collector.trace.text import lines
from collector.trace.x86 import X86Options, X86Reader
from collector.vms.identity.secrets import COMMAND_LENGTH
from faultmodel import arch
from faultmodel.kinds import HostState, LossKind
from faultmodel.ledger import recorded_ledger
from faultmodel.record import BUCKET_MS, ERRNO_NOT_SHOWN, Host, Loss, Span
from faultmodel.sections import rows_of, vm_ids_of
from faultmodel.text import cut
from faultmodel.wire import Batch

BATCH_RECORDS = 8192
"""Far below what a batch may hold: an exit, the largest record, takes under 400 bytes."""
NAMED_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the recording itself does not say.

    ``host``: the name under which it is stored, and ``below`` the host that this name is below.
    ``end_ns``: the UTC time at which it is to end. ``arch``: for a recording whose events do not show it.
    ``format``: x86, that of words whose own kvm_exit is missing.
    """

    host: str
    below: str
    end_ns: int
    arch: str | None = None
    format: str | None = None


@dataclass(slots=True)
class Report:
    """What reading a recording came to. ``unreadable`` has the first lines that could not be read."""

    faults: int = 0
    exits: int = 0
    lost_events: int = 0
    unreadable_lines: int = 0
    unattributed: int = 0
    errno_left_out: int = 0
    """Failed runs of KVM_RUN whose errno the text does not have."""
    unreadable: list[Unreadable] = field(default_factory=list)


class Recording:
    """One recording, to be read once."""

    def __init__(self, survey: Survey, options: Options) -> None:
        """Prepare to read.

        :raises TraceError: neither recording nor options show its architecture, or its words' format; or it
            would begin before 1970
        """
        self.report = Report()
        self._survey = survey
        self._offset_ns = options.end_ns - survey.last_ns - 1
        if survey.first_ns + self._offset_ns < 0:
            raise TraceError(f"{survey.source.name} is longer than the time from 1970 to its end")
        self._architecture = arch.get(_arch(survey, options))
        identity = blake2b(f"{survey.digest}/{options.below}".encode(), digest_size=16)
        self._stream = identity.hexdigest()
        self._seen_totals: dict[str, int] = {}
        self._host = Host(
            name=options.host,
            boot_id=str(UUID(bytes=identity.digest())),
            arch=self._architecture.name,
            state=HostState.REPLAY,
            detail=cut(_detail(survey), COMMAND_LENGTH),
        )
        self._machines: Machines = survey.tasks.machines(
            self._stream, _file(survey), survey.first_ns + self._offset_ns, options.end_ns
        )
        reader = _READERS[self._architecture.name](self._offset_ns, survey, options, self._machines)
        qemu = QemuExits(
            self._offset_ns, self._architecture.exit, memory_faults_shown=survey.qemu_memory_faults_shown
        )
        self._handlers = {**reader.handlers, **qemu.handlers}
        self._livelocks = Livelocks(self._architecture)
        self._endings = Endings(self._architecture)

    def batches(self, see_bytes: Callable[[int], object] = lambda count: None) -> Iterator[Batch]:
        """Yield the batches in order, at least one. ``report`` is complete after the last.

        :param see_bytes: called with how far in the file it is
        :raises TraceError: the file cannot be read any more
        """
        tally = Tally(self._architecture)
        sequence, covered_ns, latest_ns = 0, self._survey.first_ns, self._survey.first_ns
        for seen in self.seen(see_bytes):
            tally.add(seen)
            for ended in self.ended():
                tally.add_ended(ended)
            if seen.line.monotonic_ns > latest_ns:
                latest_ns = seen.line.monotonic_ns
            if len(tally) >= BATCH_RECORDS:
                yield self._batch(sequence, tally, covered_ns, latest_ns)
                sequence, covered_ns = sequence + 1, latest_ns
        for ended in self.ended():
            tally.add_ended(ended)
        yield self._batch(sequence, tally, covered_ns, self._survey.last_ns + 1, is_end=True)

    def seen(self, see_bytes: Callable[[int], object] = lambda count: None) -> Iterator[Counted | ExitSeen]:
        """Yield every fault, once its end is seen, and every exit."""
        handlers, threads = self._handlers, self._machines.threads
        for item in read(lines(chunks(self._survey.source, see_bytes))):
            if not isinstance(item, Line):
                self._note(item)
                continue
            handler, thread = handlers.get(item.event), threads.get(item.tid)
            if thread is not None:
                self._endings.note(item, thread)
            if handler is None or thread is None:
                self._livelocks.note(item, thread)
                continue
            try:
                seen = handler(thread, item)
            except LineError:
                self._note(Unreadable(item.number, f"{item.event}: {item.text}"))
            except UnattributedError:
                self.report.unattributed += 1
            else:
                if seen is not None:
                    yield from self._counted(thread, seen, item)
        for thread in threads.values():
            if (seen := thread.close()) is not None:
                yield from self._counted(thread, seen, None)

    def ended(self) -> Sequence[Ended]:
        """Return the faults that were seen to end since the last time, as ``seen`` goes on."""
        return self._endings.take()

    def _counted(
        self, thread: Thread, seen: Counted | ExitSeen, by: Line | None
    ) -> Iterator[Counted | ExitSeen]:
        if isinstance(seen, ExitSeen):
            # A fault that is still open is what the exit is about, and ends with it.
            if (ended := thread.close()) is not None:
                yield from self._counted(thread, ended, by)
            self.report.exits += seen.record is not None
            self.report.errno_left_out += seen.errno == ERRNO_NOT_SHOWN
        else:
            self.report.faults += seen.is_guest_fault
        self._livelocks.see(seen)
        self._endings.see(seen, by)
        yield seen

    def _note(self, item: object) -> None:
        if isinstance(item, LostEvents):
            self.report.lost_events += item.count
            self._livelocks.note_loss()
        elif isinstance(item, Unreadable):
            self.report.unreadable_lines += 1
            if len(self.report.unreadable) < NAMED_LINES:
                self.report.unreadable.append(item)

    def _losses(self) -> tuple[Loss, ...]:
        report = self.report
        if self._survey.entries is not None:
            # What is missing of the buffer was cut from the file, or overwritten while it was read; then
            # there are lines that say so, and it is not counted twice.
            entries = self._survey.entries
            missing = max(report.lost_events, entries.in_buffer - self._survey.events, 0)
            report.lost_events = missing + max(entries.written - entries.in_buffer, 0)
        counted = {
            LossKind.TRACE_LINES: report.unreadable_lines,
            LossKind.TRACE_EVENTS: report.lost_events,
            LossKind.UNATTRIBUTED: report.unattributed,
        }
        return tuple(Loss(kind, count) for kind, count in counted.items() if count)

    def _batch(self, sequence: int, tally: Tally, from_ns: int, to_ns: int, *, is_end: bool = False) -> Batch:
        counts = replace(tally.take(), livelocks=self._livelocks.take(is_end=is_end))
        bucket_ms = (from_ns + self._offset_ns) // (BUCKET_MS * 1_000_000) * BUCKET_MS
        ledger = recorded_ledger(bucket_ms, counts.fault_counts, self._seen_totals)
        self._seen_totals.update((entry.vm, entry.seen_total) for entry in ledger)
        vm_ids = vm_ids_of(counts)
        content = replace(
            counts,
            covered=(Span(from_ns + self._offset_ns, to_ns + self._offset_ns),),
            vms=tuple(vm for vm in self._machines.vms.values() if vm.id in vm_ids),
            ledger=ledger,
            lost=self._losses() if is_end else (),
        )
        return Batch(
            host=self._host,
            stream=self._stream,
            sequence=sequence,
            arch=self._architecture.name,
            counting=self._stream,
            **rows_of(content),
        )


def _file(survey: Survey) -> str:
    return Path(survey.source.name).name


def _detail(survey: Survey) -> str:
    detail = f"imported from {_file(survey)}"
    if survey.has_threads:
        return detail
    return f"{detail}, which does not show threads: what a CPU's events say may be of another vCPU"


def _arch(survey: Survey, options: Options) -> str:
    name = survey.arch or options.arch
    if not name:
        known = ", ".join(ARCHITECTURES)
        raise TraceError(
            f"no event in {survey.source.name} shows its architecture; name it with --arch ({known})"
        )
    return name


def _x86(offset_ns: int, survey: Survey, options: Options, machines: Machines) -> TraceReader:
    evidence = survey.x86
    format_ = options.format or (next(iter(evidence.formats)) if len(evidence.formats) == 1 else None)
    if evidence.format_unknown and format_ is None:
        raise TraceError(
            f"{survey.source.name} has {evidence.format_unknown} kvm_page_fault events without the kvm_exit "
            "that shows the format of their word; record kvm_exit too, or name the format with --format ept, "
            "npf or pferr"
        )
    threads = machines.threads
    protected = frozenset(threads[tid].vm for tid in evidence.protected_threads if tid in threads)
    return X86Reader(
        offset_ns,
        X86Options(
            format=format_,
            page_faults_shown=evidence.page_faults_shown,
            nested_exits_shown=evidence.nested_exits_shown,
            protected=protected,
        ),
    )


_READERS: Mapping[str, Callable[[int, Survey, Options, Machines], TraceReader]] = {
    "x86_64": _x86,
    "aarch64": lambda offset_ns, survey, options, machines: Arm64Reader(offset_ns),
    "riscv64": lambda offset_ns, survey, options, machines: RiscvReader(offset_ns),
}
ARCHITECTURES = tuple(_READERS)
"""Whose recordings can be read."""
