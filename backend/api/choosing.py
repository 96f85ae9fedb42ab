"""Parameters that choose VMs by what is known of them."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic.json_schema import SkipJsonSchema

from backend.query.choice import Choice, State
from backend.store.contract.values import VmFilter
from faultmodel import arch as architectures
from faultmodel.record import U32_MAX

TextFilter = Annotated[str | SkipJsonSchema[None], Query(max_length=256)]


async def _choice(
    host: Annotated[TextFilter, Query(description="Only VMs of this host.", examples=["host-1"])] = None,
    name: Annotated[
        TextFilter, Query(description="Only VMs of exactly this name.", examples=["guest"])
    ] = None,
    pid: Annotated[
        int | SkipJsonSchema[None],
        Query(ge=0, le=U32_MAX, description="Only VMs of the VMM with this process id.", examples=[4242]),
    ] = None,
    arch: Annotated[
        TextFilter, Query(description="Only VMs of this architecture.", examples=["x86_64"])
    ] = None,
    search: Annotated[
        TextFilter,
        Query(
            description="Only VMs with this text in their name, UUID, VMM, manager, host, architecture, "
            "process "
            "id or id; letter case aside.",
            examples=["web"],
        ),
    ] = None,
    state: Annotated[
        State | SkipJsonSchema[None],
        Query(description="Only VMs that run, or that had ended, at the range's end."),
    ] = None,
) -> Choice:
    where = VmFilter(host=host, name=name, pid=pid, arch=_canonical(arch))
    return Choice(where=where, text=(search or "").strip(), state=state)


ChoiceDep = Annotated[Choice, Depends(_choice)]


def _canonical(name: str | None) -> str | None:
    # VMs are kept under the canonical name: arm64 is aarch64. A name of nothing finds nothing.
    known = architectures.architectures().values()
    return next((one.name for one in known if name in one.machines), name)
