# SPDX-License-Identifier: Apache-2.0
"""The VMs that are lives of guests, or that are chosen: as many as one answer may be of."""

from collections.abc import Sequence

from backend.errors import ParameterError
from backend.query.choice import Choice
from backend.store.contract.guests import Guest
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmMember

MAX_LIVES = 500
"""Of the guests of a question: as many VMs as one statement sums up, so that no word or key comes twice."""


def guest_of(store: Store, guest_id: str) -> Guest:
    """Return a guest by an id of its own, a former one too. :raises NotFoundError: there is none"""
    return store.guests_named([guest_id])[guest_id]


def lives_of(store: Store, guest_ids: Sequence[str], span: TimeRange) -> Sequence[VmMember]:
    """Return the VMs of the range that are lives of these guests, in the order in which they were seen first.

    Within the caller's snapshot of the store, if it reads more of them.

    :raises NotFoundError: a guest is unknown
    :raises ParameterError: they had more lives than can be looked through
    """
    current = {guest.id for guest in store.guests_named(guest_ids).values()}
    found, left_out = store.members(VmFilter(guests=tuple(sorted(current))), span)
    _check_number(len(found) + left_out, "guest")
    return sorted(found, key=lambda vm: (vm.first_seen_ms, vm.id))


def ids_of_lives(store: Store, guest_ids: Sequence[str], span: TimeRange) -> list[str]:
    """Return the ids of the same. :raises NotFoundError, ParameterError: as ``lives_of``"""
    return [vm.id for vm in lives_of(store, guest_ids, span)]


def ids_of_chosen(store: Store, choice: Choice, span: TimeRange, now_ms: int) -> list[str]:
    """Return the ids of the chosen VMs of the range. :raises ParameterError: they are too many"""
    found, left_out = choice.members(store, span, now_ms)
    _check_number(len(found) + left_out, "host")
    return sorted(vm.id for vm in found)


def whole_lives(store: Store, guest_ids: Sequence[str], span: TimeRange) -> tuple[TimeRange, Sequence[str]]:
    """Return a range extended to whole buckets that are kept, and the ids of the guests' lives in it.

    :raises NotFoundError, ParameterError: as ``lives_of``
    """
    span = store.kept_levels().whole(span)
    return span, ids_of_lives(store, guest_ids, span)


def _check_number(number: int, parameter: str) -> None:
    if number > MAX_LIVES:
        raise ParameterError(
            parameter,
            f"{number} VMs in this range, more than {MAX_LIVES}; choose fewer, or ask for a shorter one",
        )
