# SPDX-License-Identifier: Apache-2.0
"""Parameters that choose VMs by what is known of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api.parameters import (
    MAX_LIMIT,
    MAX_NAMES,
    InFormat,
    InPages,
    InTime,
    Limit,
    OfHosts,
    OfVms,
    Text,
)
from backend.errors import ParameterError
from backend.query.choice import Choice, State, canonical_archs
from backend.query.globs import is_glob, plain
from backend.query.lives import ids_of_chosen, ids_of_lives
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel.record import TEXT_LENGTH, U32_MAX


class Described(OfHosts):
    """The VMs of which all of this is known; of values of one parameter, one."""

    name: list[Text] = Field(
        [],
        max_length=MAX_NAMES,
        description="Only VMs of this name, or of names that match a glob, as of `host`. May be given "
        "several times.",
        examples=[["guest"]],
    )
    pid: list[Annotated[int, Field(ge=0, le=U32_MAX)]] = Field(
        [],
        max_length=MAX_NAMES,
        description="Only VMs of the VMM with this process id. May be given several times.",
        examples=[[4242]],
    )
    arch: list[Text] = Field(
        [],
        max_length=MAX_NAMES,
        description="Only VMs of this architecture, or of those that match a glob. May be given several "
        "times.",
        examples=[["x86_64"]],
    )
    search: str | SkipJsonSchema[None] = Field(
        None,
        max_length=TEXT_LENGTH,
        description="Only VMs with this text in their name, UUID, VMM, manager, host, architecture, process "
        "id or id; letter case aside.",
        examples=["web"],
    )

    @property
    def chooses(self) -> bool:
        """Whether it may leave out a VM."""
        return bool(self.host or self.name or self.pid or self.arch or (self.search or "").strip())

    def choice_of(self, store: Store) -> Choice:
        """Return which VMs these are."""
        has_globs = any(map(is_glob, self.name))
        where = VmFilter(
            hosts=self.hosts_of(store),
            names=tuple(map(plain, self.name)) if self.name and not has_globs else None,
            pids=tuple(self.pid) or None,
            archs=tuple(canonical_archs(self.arch)) if self.arch else None,
        )
        return Choice(
            where=where,
            names=tuple(self.name) if has_globs else (),
            text=(self.search or "").strip(),
        )


class Chosen(Described):
    """Those of them that run, or have ended, or both."""

    state: State | SkipJsonSchema[None] = Field(
        None, description="Only VMs that run, or that had ended, at the range's end."
    )

    @property
    def chooses(self) -> bool:
        """Whether it may leave out a VM."""
        return super().chooses or self.state is not None

    def choice_of(self, store: Store) -> Choice:
        """Return which VMs these are."""
        return replace(super().choice_of(store), state=self.state)


class NamedOrDescribed(Described, OfVms):
    """VMs by their ids, by their guests, or by what is known of them."""

    def check_one_way(self) -> None:
        """Raise ParameterError where VMs are chosen in two of these ways."""
        super().check_one_way()
        if (self.vm or self.guest) and self.chooses:
            raise ParameterError(
                "vm" if self.vm else "guest",
                "VMs are chosen by their ids or guests, or by what is known of them, not by both",
            )


class NamedOrChosen(Chosen, NamedOrDescribed):
    """The same, or by whether they run."""


class PageOfChosen(InPages, InTime, NamedOrChosen, InFormat):
    """Of which VMs, when, and which page or file of it."""

    limit: Limit = MAX_LIMIT


def vms_asked_for(store: Store, asked: OfVms, span: TimeRange) -> Sequence[str] | None:
    """Return the ids of the VMs that a question names, or whose guests it names; None where it names none.

    :raises NotFoundError: a guest is unknown
    :raises ParameterError: it names both, or more VMs than can be looked through
    """
    asked.check_one_way()
    if asked.guest:
        return ids_of_lives(store, asked.guest_ids, span)
    return asked.vm_ids or None


def vms_chosen(store: Store, asked: NamedOrChosen, span: TimeRange, now_ms: int) -> Sequence[str] | None:
    """Return the ids of the VMs that a question names or chooses; None where it leaves out none.

    :raises NotFoundError: a guest is unknown
    :raises ParameterError: they are chosen in two ways, or more than can be looked through
    """
    if not asked.chooses:
        return vms_asked_for(store, asked, span)
    asked.check_one_way()
    return ids_of_chosen(store, asked.choice_of(store), span, now_ms)
