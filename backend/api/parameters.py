# SPDX-License-Identifier: Apache-2.0
"""What resources are asked with: parameters that several have, and the rule that no other one is taken."""

from collections.abc import Mapping, Sequence
from typing import Annotated, get_origin

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import SkipJsonSchema

from backend.api.exports.formats import Format
from backend.api.forms import GUEST_ID, VM_ID
from backend.errors import ParameterError
from backend.query import cursors
from backend.query.globs import SYNTAX, is_glob, resolved
from backend.query.grid import MAX_POINTS, make_grid
from backend.store.contract.levels import Levels
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.times import DURATION_PATTERN, PATTERN, parse_duration, parse_time
from faultmodel.record import TEXT_LENGTH

MAX_VMS = 100
MAX_NAMES = 100
MAX_LIMIT = 1000
_TIME = "RFC 3339 (`2026-01-31T12:00:00Z`), relative (`now`, `now-15m`; s, m, h, d, w) or ms since the epoch."
# Patterns are described, and checked where a text is read: the message there says more than a pattern.
TIME_SCHEMA: dict[str, JsonValue] = {"pattern": PATTERN}
Text = Annotated[str, Field(max_length=TEXT_LENGTH)]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most items of a page.", examples=[100])]
VmPath = Annotated[
    str,
    Path(
        description="The VM's id, from `/api/v1/vms`.",
        examples=["00000000000000a1"],
        # Only described: another text is no VM's id and answered with 404, not with 400.
        json_schema_extra={"pattern": VM_ID},
    ),
]

GuestPath = Annotated[
    str,
    Path(
        description="The guest's id, from `/api/v1/guests`.",
        examples=["f427c24233487b35"],
        # As of a VM's id.
        json_schema_extra={"pattern": GUEST_ID},
    ),
]


class Parameters(BaseModel):
    """The query parameters of a resource. Another one is refused, ``form=now-1h`` for instance.

    None is not a value that could be sent, only a parameter's absence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class InTime(Parameters):
    """From when to when."""

    from_text: str | SkipJsonSchema[None] = Field(
        None,
        alias="from",
        max_length=64,
        description=f"Start, inclusive. {_TIME}",
        examples=["now-15m"],
        json_schema_extra=TIME_SCHEMA,
    )
    to_text: str | SkipJsonSchema[None] = Field(
        None,
        alias="to",
        max_length=64,
        description=f"End, exclusive. {_TIME}",
        examples=["now"],
        json_schema_extra=TIME_SCHEMA,
    )

    def span(self, now_ms: int) -> TimeRange:
        """Return the range that is meant at this time.

        :raises ParameterError: one of both is no time, or the start is after the end
        """
        from_ms = None if self.from_text is None else parse_time("from", self.from_text, now_ms)
        to_ms = None if self.to_text is None else parse_time("to", self.to_text, now_ms)
        if from_ms is not None and to_ms is not None and from_ms > to_ms:
            raise ParameterError("from", "from is after to")
        return TimeRange(from_ms, to_ms)


class InSteps(InTime):
    """A range, and the steps in it."""

    step: str | SkipJsonSchema[None] = Field(
        None,
        max_length=64,
        json_schema_extra={"pattern": DURATION_PATTERN},
        description="Length of a step: `10s` (s, m, h, d, w) or ms, a multiple of 1 s. Without it, "
        f"such that there are about 300 points at most; there may be {MAX_POINTS}.",
        examples=["10s"],
    )
    coarser: bool = Field(
        False,
        description="Where counts are no longer kept in such steps of the time where the range begins, take "
        "longer steps, in which they are.",
    )

    @property
    def step_ms(self) -> int | None:
        """Return the length of a step, None where it is left to the server.

        :raises ParameterError: it is no length
        """
        return None if self.step is None else parse_duration("step", self.step)

    def grid(self, now_ms: int, levels: Levels) -> Steps:
        """Return the grid that is meant at this time, of what is kept.

        :raises ParameterError: range or step cannot be used
        """
        return make_grid(self.span(now_ms), now_ms, self.step_ms, levels, coarser=self.coarser)


class InFormat(Parameters):
    """In which format."""

    format: Format = Field(
        Format.JSON,
        description="`json`, or a file with every row of the range: `csv`, `ndjson` or `parquet`. With "
        "`limit` it has so many rows at most.",
    )


class InPages(Parameters):
    """Which page of a list."""

    limit: Limit = 100
    cursor: str | SkipJsonSchema[None] = Field(
        None,
        max_length=64,
        json_schema_extra={"pattern": cursors.PATTERN},
        description="`next_cursor` of the page before; leave it out for the first page.",
    )


class OfHosts(Parameters):
    """Some hosts, or every one."""

    host: list[Text] = Field(
        [],
        max_length=MAX_NAMES,
        description=f"A host's name, or a glob: {SYNTAX}. May be given several times. Every host where it is "
        "left out.",
        examples=[["host-1"]],
    )

    def hosts_of(self, store: Store) -> tuple[str, ...] | None:
        """Return the names of the hosts that are meant, those that there are and those that there are not.

        :return: None for every host
        """
        return tuple(resolved(self.host, _host_names(store, self.host))) if self.host else None


class OfGuests(Parameters):
    """The VMs of some guests, or every one."""

    guest: list[Annotated[str, Field(pattern=GUEST_ID)]] = Field(
        [],
        max_length=MAX_VMS,
        description="A guest's id: all VMs of it. May be given several times.",
        examples=[["f427c24233487b35"]],
    )

    @property
    def guest_ids(self) -> tuple[str, ...]:
        """Each guest once; none where every VM is meant."""
        return tuple(dict.fromkeys(self.guest))


class OfVms(OfGuests):
    """Some VMs, those of some guests, or every one."""

    vm: list[Annotated[str, Field(pattern=VM_ID)]] = Field(
        [],
        max_length=MAX_VMS,
        description="A VM's id; may be given several times. Every VM where it is left out.",
        examples=[["00000000000000a1"]],
    )

    @property
    def vm_ids(self) -> tuple[str, ...]:
        """Each VM once; none where every one is meant."""
        return tuple(dict.fromkeys(self.vm))

    def check_one_way(self) -> None:
        """Raise ParameterError where VMs are chosen both by their own ids and by their guests."""
        if self.vm and self.guest:
            raise ParameterError("guest", "VMs are chosen by their ids, or by their guests, not by both")


def _host_names(store: Store, wanted: Sequence[str]) -> Sequence[str]:
    """Return the names that may match: none where each is given as it is."""
    return store.host_names() if any(map(is_glob, wanted)) else ()


async def check_names(request: Request) -> None:
    """Refuse parameters where the resource has none, and one that is given twice and may not be.

    :raises ParameterError: with the name
    """
    known = _known(request)
    given: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if not known:
            raise unknown_parameter(request, name)
        if name in given and not known.get(name, True):
            raise ParameterError(name, "this parameter is given more than once")
        given.add(name)


def unknown_parameter(request: Request, name: str) -> ParameterError:
    """Return the error that lists the parameters that exist."""
    there_is = ", ".join(_known(request)) or "none"
    return ParameterError(name[:64], f"there is no such parameter here; there is {there_is}")


def _known(request: Request) -> Mapping[str, bool]:
    """Return the parameters of the resource's model, and whether each may be repeated."""
    models = [field.field_info.annotation for field in request.scope["route"].dependant.query_params]
    return {
        field.alias or name: get_origin(field.annotation) is list
        for model in models
        for name, field in model.model_fields.items()
    }
