"""The server's own clock: nothing is stored while it cannot be right.

It says when a batch came, and what hosts' clocks got wrong is set right by it. A server that starts before
its clock is set would so move right times to wrong ones, for ever.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Table, func, select, update

from backend.errors import NotNowError
from backend.store.sql.tables import findings, hosts, refusals, sources
from backend.store.sql.tables import tokens as tokens_table
from backend.store.sql.writer import Writer
from backend.times import rfc3339_ns
from faultmodel.problem import ProblemCode

RELEASED_NS = 1_793_491_200 * 10**9
"""2026-11-01: this program is not older."""
BEHIND_NS = 300 * 10**9
"""By so much a clock that is set right may step back: less than that is taken for right."""
_newest = select(func.max(hosts.c.last_batch_ns))
_RECEIVED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (hosts, ("last_batch_ns",)),
    (sources, ("first_ns", "last_ns")),
    (findings, ("first_ns", "last_ns")),
    (refusals, ("first_ns", "last_ns")),
    (tokens_table, ("created_ns",)),
)
"""What holds times of the server's own clock."""


def what_is_wrong(now_ns: int, newest_ns: int) -> str:
    """Return why a clock that says ``now_ns`` cannot be right, and what to do; empty where it can.

    :param newest_ns: when a batch was received last, by the same clock; 0 where none ever was
    """
    says = f"the server's clock says {_text(now_ns)}"
    if now_ns < RELEASED_NS:
        return f"{says}, before this program was made ({_text(RELEASED_NS)[:10]}): set it"
    if now_ns < newest_ns - BEHIND_NS:
        return (
            f"{says}, but a batch was taken at {_text(newest_ns)} already: set it. If it is right now and "
            "was ahead then, run kvmfaults-server clock reset"
        )
    return ""


class ServerClock:
    """Checks when batches are received, mostly without asking the database. Thread-safe."""

    def __init__(self, read_newest_ns: Callable[[], int]) -> None:
        self._read_newest_ns = read_newest_ns
        self._newest_ns: int | None = None

    def check(self, received_ns: int) -> None:
        """Let pass what is received by a clock that can be right.

        :raises NotNowError: the server's clock cannot be right
        """
        if self._newest_ns is None or what_is_wrong(received_ns, self._newest_ns):
            # Perhaps that one was not stored after all, or was removed since.
            self._newest_ns = self._read_newest_ns()
        wrong = what_is_wrong(received_ns, self._newest_ns)
        if wrong:
            raise NotNowError(ProblemCode.SERVER_CLOCK, wrong)
        self._newest_ns = max(self._newest_ns, received_ns)


def newest_received_ns(connection: Connection) -> int:
    """Return when a batch was received last, 0 where none is stored."""
    return connection.scalar(_newest) or 0


def forget_later(writer: Writer, now_ns: int) -> int:
    """Have nothing be received later than now, and return how many rows told of it."""
    changed = 0
    for table, names in _RECEIVED:
        for name in names:
            later = update(table).where(table.c[name] > now_ns).values({name: now_ns})
            changed += writer.connection.execute(later).rowcount
    return changed


def _text(time_ns: int) -> str:
    return f"{rfc3339_ns(time_ns)[:19]}Z"
