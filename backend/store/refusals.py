"""Requests to hand in a batch that were refused, summed by token and reason."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from backend.store.tables import refusals
from backend.store.values import Refusal
from backend.store.writer import Writer
from faultmodel.problem import ProblemCode


def add_refusals(writer: Writer, found: Sequence[Refusal]) -> None:
    """Add refusals to those of their token and reason."""
    for item in found:
        statement = writer.insert(refusals).values(
            token=item.token,
            code=item.code.value,
            host=item.host,
            detail=item.detail.replace("\0", ""),
            count=item.count,
            first_ns=item.first_ns,
            last_ns=item.last_ns,
        )
        newer = {name: statement.excluded[name] for name in ("host", "detail", "last_ns")}
        writer.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["token", "code"],
                set_=newer | {"count": refusals.c["count"] + statement.excluded["count"]},
            )
        )


def read_refusals(connection: Connection) -> Sequence[Refusal]:
    """Return every refusal, newest first. Those of a reason that only a later version knows are left out."""
    known = {code.value for code in ProblemCode}
    rows = connection.execute(select(refusals).order_by(refusals.c.last_ns.desc(), refusals.c.token))
    return [
        Refusal(
            token=row.token,
            code=ProblemCode(row.code),
            host=row.host,
            detail=row.detail,
            count=row._mapping["count"],
            first_ns=row.first_ns,
            last_ns=row.last_ns,
        )
        for row in rows
        if row.code in known
    ]
