# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads VMs and what was counted and recorded of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from sqlalchemy import Connection

from backend.store.contract.accounts import CountingTotal, LedgerPoint, LedgerSum
from backend.store.contract.guests import Guest
from backend.store.contract.levels import Levels
from backend.store.contract.retention import Kept
from backend.store.contract.series import COUNT, FIGURES, OWNER, Metric, Page, Recorded, Row, Top
from backend.store.contract.values import (
    ExitPoint,
    ExitReasonCount,
    ExitSum,
    FaultPoint,
    FaultSum,
    Place,
    RecordRow,
    Split,
    Steps,
    SyndromeCount,
    SyndromePlace,
    TimeRange,
)
from backend.store.contract.vms import (
    CountsOfVms,
    VcpuSummary,
    VmFilter,
    VmMember,
    VmMembers,
    VmPlace,
    VmSummary,
)
from backend.store.sql import vm_summaries
from backend.store.sql.catalog import countings, guests, sources, vm_members, vm_queries
from backend.store.sql.catalog.hosts import read_version
from backend.store.sql.catalog.kept_vms import KeptVms
from backend.store.sql.ranges import MOST_AT_ONCE
from backend.store.sql.reads import SqlReads
from backend.store.sql.records import of_vm
from backend.store.sql.series.owners import name_recordings
from backend.store.sql.series.pending import read_kept
from backend.store.sql.series.retention import read_kept_from
from faultmodel import arch
from faultmodel.record import COUNTERS, ExitKind
from faultmodel.units import MS_PER_S

_FAULTS = "faults"
_KINDS = tuple(kind.value for kind in ExitKind)
_BY_WORD = ("word", "format")
_MOST_AT_ONCE = 200
"""Guests of which several VMs may run at once: more say nothing new."""
_MAX_REASONS = 1000
"""KVM has some 40 reasons, nearly all with errno 0."""


class VmReads(SqlReads):
    """See ``Store``."""

    def __init__(self) -> None:
        super().__init__()
        self._kept_vms = KeptVms(self._noted.described_between)

    def vms(
        self,
        where: VmFilter,
        span: TimeRange,
        *,
        limit: int,
        after: VmPlace | None,
        counted: CountsOfVms | None = None,
    ) -> Sequence[VmSummary]:
        """Return VMs that existed in the range: those that run first, newest ``first_seen_ms`` first, by id.

        A VM exists from ``first_seen_ms``, the first bucket or exit that it has or the start of the covered
        time in which it was described, to ``last_seen_ms``: while it runs, the end of its host's covered
        time. Its rates divide by the covered time of its host within the range and this life.
        """
        with self.snapshot() as connection:
            return vm_summaries.find_vms(
                connection, self.series, where, span, limit=limit, after=after, counted=counted
            )

    def members(self, where: VmFilter, span: TimeRange) -> VmMembers:
        """Return the VMs that existed in the range, as many as can be looked through; no order."""
        with self._reading() as connection:
            if where != VmFilter():
                return vm_members.find_members(connection, where, span)
            return self._kept_vms.members(connection, read_version(connection), span)

    def lifetimes(self) -> tuple[int, int]:
        """Return when the first VM was seen first and when one was last, UTC ms; no count lies outside."""
        with self._reading() as connection:
            return vm_members.lifetimes(connection)

    def members_named(self, vm_ids: Sequence[str]) -> Sequence[VmMember]:
        """Return these VMs, in this order. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_members.named_members(connection, vm_ids)

    def members_numbered(self, numbers: Sequence[int]) -> Sequence[VmMember]:
        """Return the VMs with these numbers; no order."""
        with self._reading() as connection:
            return vm_members.numbered_members(connection, numbers)

    def guests_named(self, guest_ids: Sequence[str]) -> Mapping[str, Guest]:
        """Return guests by the ids that are given. :raises NotFoundError: a guest is unknown"""
        with self._reading() as connection:
            return guests.guests_named(connection, guest_ids)

    def lives_at_once(self) -> Sequence[VmMember]:
        """Return VMs without a known end that are not the only such life of their guest; no order."""
        with self._reading() as connection:
            found = guests.lived_at_once(connection, _MOST_AT_ONCE)
            return vm_members.members_of_guests(connection, found) if found else []

    def commands(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the command lines of VMs, by id. Those that are not known have none."""
        with self._reading() as connection:
            return vm_queries.commands_of(connection, vm_ids)

    def fault_sums(self, steps: Steps) -> Iterator[FaultSum]:
        """Yield the faults of every VM in steps; no order."""
        for step, vm, faults in self.series.points(
            Metric.FAULTS, None, steps, by=(OWNER,), figures=(_FAULTS,)
        ):
            yield FaultSum(vm, step, faults)

    def exit_sums(self, steps: Steps) -> Iterator[ExitSum]:
        """Yield the same of exits of each kind."""
        for step, vm, *counts in self.series.points(Metric.EXITS, None, steps, by=(OWNER,), figures=_KINDS):
            yield ExitSum(vm, step, counts)

    def vm(self, vm_id: str, span: TimeRange) -> VmSummary:
        """Return one VM. :raises NotFoundError: there is none"""
        with self.snapshot() as connection:
            return vm_summaries.find_vm(connection, self.series, vm_id, span)

    def vcpus(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int | None = None, after: int = -1
    ) -> Sequence[VcpuSummary]:
        """Return vCPUs that VMs ever had. :raises NotFoundError: a VM is unknown"""
        with self.snapshot() as connection:
            vms = sorted(vm_queries.known_vms(connection, vm_ids))
            numbers = vm_queries.vcpus_of(connection, vms, limit=limit, after=after)
            by = ("vcpu",)
            # Of many VMs, each vCPU comes several times.
            faults: Counter[int] = Counter()
            for vcpu, count in self.series.totals(Metric.FAULTS, vms, span, by=by, figures=(_FAULTS,)):
                faults[vcpu] += count
            exits: dict[int, Sequence[int]] = {}
            for vcpu, *counts in self.series.totals(Metric.EXITS, vms, span, by=by, figures=_KINDS):
                exits[vcpu] = [a + b for a, b in zip(exits.get(vcpu, repeat(0)), counts, strict=False)]
            return [_vcpu_summary(vcpu, faults[vcpu], exits.get(vcpu)) for vcpu in numbers]

    def vcpu_count(self, vm_ids: Sequence[str]) -> int:
        """Return how many vCPUs VMs ever had. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_queries.vcpu_count(connection, sorted(vm_queries.known_vms(connection, vm_ids)))

    def syndromes(
        self,
        vm_ids: Sequence[str],
        span: TimeRange,
        *,
        limit: int | None = None,
        after: SyndromePlace | None = None,
    ) -> Sequence[SyndromeCount]:
        """Return counts by raw word, most faults first. :raises NotFoundError: a VM is unknown"""
        found: list[SyndromeCount] = []
        with self.snapshot() as connection:
            for arch_name, numbers in vm_queries.by_arch(connection, vm_ids).items():
                top = Top(limit, None if after is None else _last(after, arch_name))
                found += [_syndrome_count(arch_name, row) for row in self._by_word(numbers, span, top)]
        found.sort(key=lambda item: (-item.place.faults, item.place.word, item.place.format))
        return found if limit is None else found[:limit]

    def each_syndrome(self, vm_ids: Sequence[str], span: TimeRange) -> Iterator[SyndromeCount]:
        """Yield counts by raw word. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            chosen = vm_queries.by_arch(connection, vm_ids)
        for arch_name, numbers in chosen.items():
            for row in self._by_word(numbers, span):
                yield _syndrome_count(arch_name, row)

    def syndrome_number(self, vm_ids: Sequence[str], span: TimeRange) -> tuple[int, int]:
        """Return how many words VMs' faults had, and their number. :raises NotFoundError: a VM is unknown"""
        number = total = 0
        with self.snapshot() as connection:
            for numbers in vm_queries.by_arch(connection, vm_ids).values():
                for *_, faults in self.series.totals(
                    Metric.FAULTS, numbers, span, by=_BY_WORD, figures=(_FAULTS,)
                ):
                    number += faults > 0
                    total += faults
        return number, total

    def fault_points(
        self, vm_ids: Sequence[str] | None, steps: Steps, *, split: Split, counters: Sequence[str]
    ) -> Iterator[FaultPoint]:
        """Yield fault counts summed into steps. VMs that are not known have none."""
        by = [*([OWNER] if split.vm else []), *(["vcpu"] if split.vcpu else [])]
        by += _BY_WORD if split.word else ()
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, steps.span):
                by_arch: dict[str, list[int]] = defaultdict(list)
                for number, (_, arch_name) in chosen.items():
                    by_arch[arch_name].append(number)
                for arch_name, numbers in by_arch.items():
                    for step, *row in self.series.points(
                        Metric.FAULTS, numbers, steps, by=by, figures=counters
                    ):
                        keys = dict(zip(by, row, strict=False))
                        yield FaultPoint(
                            step_start_ms=steps.start_of(step),
                            arch=arch_name,
                            vm=chosen[keys[OWNER]][0] if split.vm else None,
                            vcpu=keys.get("vcpu"),
                            word=keys.get("word"),
                            format=_format(arch_name, keys["format"]) if split.word else None,
                            counters=dict(zip(counters, row[len(by) :], strict=True)),
                        )

    def exit_points(self, vm_ids: Sequence[str] | None, kind: ExitKind, steps: Steps) -> Iterator[ExitPoint]:
        """Yield exit counts of a kind, summed into steps. VMs that are not known have none."""
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, steps.span):
                for step, number, vcpu, count in self.series.points(
                    Metric.EXITS, list(chosen), steps, by=(OWNER, "vcpu"), figures=(kind.value,)
                ):
                    vm_id, arch_name = chosen[number]
                    yield ExitPoint(steps.start_of(step), vm_id, vcpu, arch_name, count)

    def exit_reasons(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[ExitReasonCount]:
        """Return exits by reason and errno, most first. :raises NotFoundError: a VM is unknown"""
        with self.snapshot() as connection:
            vms = sorted(vm_queries.known_vms(connection, vm_ids))
            # One statement finds the greatest of so many VMs; of more, each sum comes in parts.
            top = Top(_MAX_REASONS) if len(vms) <= MOST_AT_ONCE else None
            counts: Counter[tuple[int, int]] = Counter()
            for reason, errno, count in self.series.totals(
                Metric.EXITS, vms, span, by=("reason", "errno"), figures=(COUNT,), top=top
            ):
                counts[reason, errno] += count
            most = sorted((-count, *key) for key, count in counts.items())[:_MAX_REASONS]
            return [ExitReasonCount(reason, errno, -count) for count, reason, errno in most]

    def exit_total(self, vm_ids: Sequence[str], span: TimeRange) -> int:
        """Return how many exits there were. :raises NotFoundError: a VM is unknown"""
        with self.snapshot() as connection:
            vms = sorted(vm_queries.known_vms(connection, vm_ids))
            found = self.series.totals(Metric.EXITS, vms, span, by=(OWNER,), figures=(COUNT,))
            return sum(count for _, count in found)

    def exits(
        self,
        vm_ids: Sequence[str] | None,
        kind: ExitKind | None,
        span: TimeRange,
        *,
        limit: int,
        before: Place | None,
    ) -> Sequence[RecordRow]:
        """Return exit records, newest first. VMs that are not known have none."""
        with self.snapshot() as connection:
            chosen = None
            if vm_ids is not None:
                known = vm_queries.chosen_vms(connection, vm_ids)
                chosen = {number: arch for number, (_, arch) in known.items()}
            page = Page(limit, before)
            span = self._kept_span(Kept.EXITS, vm_ids or (), span)
            found = self.series.records(Recorded.EXITS, chosen, span, page, exit_kind=kind)
            ids = vm_queries.ids_of(connection, sorted({owner for owner, _ in found}))
        return [of_vm(row, ids[owner]) for owner, row in found]

    def faults(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int, before: Place | None
    ) -> Sequence[RecordRow]:
        """Return VMs' fault records, newest first. :raises NotFoundError: a VM is unknown"""
        with self.snapshot() as connection:
            known = vm_queries.known_vms(connection, vm_ids)
            chosen = {number: arch_name for number, (_, arch_name) in known.items()}
            span = self._kept_span(Kept.FAULTS, vm_ids, span)
            found = self.series.records(Recorded.FAULTS, chosen, span, Page(limit, before))
        return [of_vm(row, known[owner][0]) for owner, row in found]

    def ledger_points(self, vm_ids: Sequence[str], steps: Steps) -> Sequence[LedgerPoint]:
        """Return what became of VMs' faults, in steps. VMs that are not known have none."""
        with self.snapshot() as connection:
            numbers = self._numbers(connection, vm_ids)
            figures = FIGURES[Metric.LEDGER]
            found = self.series.points(Metric.LEDGER, list(numbers), steps, by=(OWNER,), figures=figures)
            return [
                LedgerPoint(
                    step_start_ms=steps.start_of(step),
                    vm=numbers[vm],
                    **dict(zip(figures, values, strict=True)),
                )
                for step, vm, *values in found
            ]

    def ledger_sums(self, steps: Steps) -> Iterator[LedgerSum]:
        """Yield what became of the faults of every VM in steps; no order."""
        # Also of times before the first count of a VM: an account begins with its reading.
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, None, TimeRange()):
                found = self.series.points(
                    Metric.LEDGER, list(chosen), steps, by=(OWNER,), figures=FIGURES[Metric.LEDGER]
                )
                for step, vm, *figures in found:
                    yield LedgerSum(step, chosen[vm][0], *figures)

    def counting_totals(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return what each counting has seen of VMs, ever. VMs that are not known have none."""
        with self._reading() as connection:
            return list(countings.counting_totals(connection, self._numbers(connection, vm_ids)))

    def unequal_countings(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return the same of those countings alone of which not as much is stored as was seen."""
        with self._reading() as connection:
            unequal = countings.vms_of_unequal(connection, vm_ids)
            totals = countings.counting_totals(connection, unequal)
            return [item for item in totals if item.stored != item.seen_total]

    def doubled(self, vm_ids: Sequence[str]) -> Collection[str]:
        """Return those of the VMs that two countings counted at the same time."""
        with self._reading() as connection:
            places = vm_queries.places_of(connection, vm_ids)
            names = sources.doubled_countings(connection, sorted({place[0] for place in places.values()}))
            if not names:
                return ()
            found: Counter[str] = Counter()
            for item in countings.counting_totals(connection, self._numbers(connection, vm_ids)):
                if item.stored and (places[item.vm][0], item.counting) in names:
                    found[item.vm] += 1
            return [vm_id for vm_id, count in found.items() if count > 1]

    def host_of(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_queries.hosts_of(connection, vm_ids)

    def vms_of(self, host_names: Sequence[str] | None, span: TimeRange) -> Iterator[tuple[str, str]]:
        """Yield id and host's name of the VMs of hosts, or of all, that existed in the range."""
        with self._reading() as connection:
            yield from vm_queries.vms_of(connection, host_names, span)

    def kept_levels(self, host_names: Sequence[str] | None = None, vm_ids: Sequence[str] = ()) -> Levels:
        """Return from when on each level of counts is kept. Of recordings alone, all is."""
        with self._reading() as connection:
            kept = read_kept(connection)
            is_whole = bool(kept) and name_recordings(connection, host_names, vm_ids)
            return Levels() if is_whole else Levels(kept_from_s=kept)

    def kept_from_s(self, kept: Kept, vm_ids: Sequence[str] = ()) -> int | None:
        """Return from when on something is kept of VMs, of all where none is named; None for ever."""
        with self._reading() as connection:
            from_s = read_kept_from(connection).get(kept)
            return None if from_s is None or name_recordings(connection, None, vm_ids) else from_s

    def _kept_span(self, kept: Kept, vm_ids: Sequence[str], span: TimeRange) -> TimeRange:
        """Return the part of a range of which records are kept."""
        from_s = self.kept_from_s(kept, vm_ids)
        if from_s is None:
            return span
        from_ms = from_s * MS_PER_S
        to_ms = None if span.to_ms is None else max(span.to_ms, from_ms)
        return TimeRange(max(span.from_ms or from_ms, from_ms), to_ms)

    def _by_word(self, vms: Sequence[int], span: TimeRange, top: Top | None = None) -> Iterator[Row]:
        return self.series.totals(Metric.FAULTS, vms, span, by=_BY_WORD, figures=COUNTERS, top=top)

    @staticmethod
    def _numbers(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, str]:
        chosen = vm_queries.chosen_vms(connection, vm_ids)
        return {number: vm_id for number, (vm_id, _) in chosen.items()}


def _format(arch_name: str, stored: str) -> str | None:
    """Return the format of a row's word, None where no syndrome was shown or the format is not known."""
    return stored if stored in arch.get(arch_name).formats else None


def _syndrome_count(arch_name: str, row: Row) -> SyndromeCount:
    word, stored, *counts = row
    has_formats = arch.get(arch_name).format_field is not None
    return SyndromeCount(
        arch_name,
        _format(arch_name, stored),
        word,
        dict(zip(COUNTERS, counts, strict=True)),
        stored if has_formats else "",
    )


def _last(place: SyndromePlace, arch_name: str) -> tuple[int, Sequence[Any]]:
    """Return a place as ``Top`` has it. In an architecture of one format, that is stored and not returned."""
    architecture = arch.get(arch_name)
    stored = place.format if architecture.format_field is not None else next(iter(architecture.formats))
    return place.faults, (place.word, stored)


def _vcpu_summary(vcpu: int, faults: int, exits: Sequence[int] | None) -> VcpuSummary:
    counts = dict(zip(ExitKind, exits or repeat(0), strict=False))
    return VcpuSummary(
        vcpu=vcpu,
        faults=faults,
        memory_fault_exits=counts[ExitKind.MEMORY_FAULT],
        bare_error_exits=counts[ExitKind.BARE_ERROR],
        unclassified_error_exits=counts[ExitKind.UNCLASSIFIED_ERROR],
    )
