# SPDX-License-Identifier: Apache-2.0
"""Rates over time: counts per second of covered time, on a grid, as one series per VM, flag, access, ..."""

from collections.abc import Sequence

from backend.errors import ParameterError
from backend.query.lives import lives_of
from backend.query.rate_counts import blocks_of, count
from backend.query.rate_keys import EXIT_BY, EXIT_KINDS, By
from backend.query.rate_question import Question
from backend.query.rate_series import Composer, Rates
from backend.query.sources import Sources
from backend.query.uncovered import uncovered_of
from backend.query.versions import State
from backend.query.view import View
from backend.store.contract.changes import Version
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmMember, VmMembers


def rates(sources: Sources, question: Question, now_ms: int) -> Rates:
    """Return the rates of VMs.

    A series that has no count in a covered step is 0 there. The covered time of a series of one VM is that
    of the boot of its host, of a guest that of its VMs together while each was there, of another series that
    of any of the VMs' hosts.

    :raises NotFoundError: a VM or guest is unknown
    :raises ParameterError: the metric has no such series, or the answer would be too large
    """
    if question.metric in EXIT_KINDS and question.by not in EXIT_BY:
        known = ", ".join(EXIT_BY)
        raise ParameterError("by", f"{question.metric} has no series by {question.by}; it has {known}")
    grid, span = question.grid, question.grid.span
    # Counts and coverage of one moment: a second that is covered and not yet counted would look quiet.
    with sources.store.snapshot():
        version = sources.store.version()
        found = _vms(sources, question, span, now_ms)
        vms, left_out = found
        chosen = None if question.is_about_everyone else vms
        grouping = sorted((vm.number, vm.guest) for vm in vms) if question.by is By.GUEST else ()
        state = State.of(version, chosen, (question.identity, grouping), grid)
        part = _changed_part(sources, question, state, version, chosen)
        kept = sources.store.kept_levels(question.choice.host_names, question.vm_ids)
        of_all = sources.store.kept_levels()
        # A block has the counts of everyone, in steps in which they are kept of everyone.
        blocks = blocks_of(sources, question) if kept == of_all else None
        view = None if blocks is None else View(blocks, version, now_ms, of_all)
        counts = count(sources, question, found, part, view, kept)
        if counts.other_keys and part != grid and view is None:
            # Which series are the greatest shows in the whole alone.
            part = grid
            counts = count(sources, question, found, part, view, kept)
        hosts = None if chosen is None else sorted({vm.host for vm in chosen})
        coverage = sources.store.coverage(hosts, span)
        of_vms = sources.store.vm_coverage([vm.id for vm in counts.vms], span)
        as_of = sources.store.as_of(hosts if question.are_named else question.choice.host_names)
        named = [vm.id for vm in vms] if question.are_named else None
        uncovered = uncovered_of(sources.store, named, question.choice.host_names, span, now_ms, of_vms)
    name = sources.versions.name(state)
    kept_from_ms = kept.begins_ms(grid)
    if kept_from_ms is not None and kept_from_ms <= grid.from_ms:
        kept_from_ms = None
    composer = Composer(question, counts.vms, part, coverage, of_vms, kept_from_ms)
    return composer.rates(name, counts, uncovered, left_out, as_of)


def _vms(sources: Sources, question: Question, span: TimeRange, now_ms: int) -> VmMembers:
    """Return the VMs that are asked for, as far as it matters which they are."""
    if question.vm_ids:
        return VmMembers(sources.store.members_named(question.vm_ids))
    if question.guest_ids:
        return VmMembers(lives_of(sources.store, question.guest_ids, span))
    if question.is_about_everyone and question.by in (By.VM, By.ACCESS, By.FLAG, By.LEVEL):
        return VmMembers(())
    return question.choice.members(sources.store, span, now_ms)


def _changed_part(
    sources: Sources,
    question: Question,
    state: State,
    version: Version,
    chosen: Sequence[VmMember] | None,
) -> Steps:
    """Return the steps of the answer: those that may differ from what the reader has."""
    grid = question.grid
    if question.after is None:
        return grid
    changed_ms = sources.versions.changed_from(question.after, sources.store, state, version, chosen)
    first_ms = min(max(grid.from_ms, changed_ms // grid.step_ms * grid.step_ms), grid.to_ms)
    return Steps(first_ms, grid.to_ms, grid.step_ms)
