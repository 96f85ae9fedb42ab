# SPDX-License-Identifier: Apache-2.0
"""Parameters that choose VMs by what is known of them."""

from collections.abc import Sequence

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api.parameters import OfVms, Parameters
from backend.query.choice import Choice, State
from backend.query.lives import ids_of_lives
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel import arch as architectures
from faultmodel.record import TEXT_LENGTH, U32_MAX


class Chosen(Parameters):
    """The VMs for which all of this holds."""

    host: str | SkipJsonSchema[None] = Field(
        None, max_length=TEXT_LENGTH, description="Only VMs of this host.", examples=["host-1"]
    )
    name: str | SkipJsonSchema[None] = Field(
        None, max_length=TEXT_LENGTH, description="Only VMs of exactly this name.", examples=["guest"]
    )
    pid: int | SkipJsonSchema[None] = Field(
        None, ge=0, le=U32_MAX, description="Only VMs of the VMM with this process id.", examples=[4242]
    )
    arch: str | SkipJsonSchema[None] = Field(
        None, max_length=TEXT_LENGTH, description="Only VMs of this architecture.", examples=["x86_64"]
    )
    search: str | SkipJsonSchema[None] = Field(
        None,
        max_length=TEXT_LENGTH,
        description="Only VMs with this text in their name, UUID, VMM, manager, host, architecture, process "
        "id or id; letter case aside.",
        examples=["web"],
    )
    state: State | SkipJsonSchema[None] = Field(
        None, description="Only VMs that run, or that had ended, at the range's end."
    )

    @property
    def choice(self) -> Choice:
        """Which VMs these are."""
        where = VmFilter(host=self.host, name=self.name, pid=self.pid, arch=_canonical(self.arch))
        return Choice(where=where, text=(self.search or "").strip(), state=self.state)


def vms_asked_for(store: Store, asked: OfVms, span: TimeRange) -> Sequence[str] | None:
    """Return the ids of the VMs that a question names, or whose guests it names; None where it names none.

    :raises NotFoundError: a guest is unknown
    :raises ParameterError: it names both, or more VMs than can be looked through
    """
    asked.check_one_way()
    if asked.guest:
        return ids_of_lives(store, asked.guest_ids, span)
    return asked.vm_ids or None


def _canonical(name: str | None) -> str | None:
    # VMs are kept under the canonical name: arm64 is aarch64. A name of nothing finds nothing.
    known = architectures.architectures().values()
    return next((one.name for one in known if name in one.machines), name)
