# SPDX-License-Identifier: Apache-2.0
"""What was refused: by stream, as far as there is room, and whether it has been stored since."""

from backend.store.contract.access import Refusal
from backend.store.contract.store import Store
from backend.store.sql.catalog.refusals import MOST_STREAMS
from faultmodel.problem import ProblemCode
from faultmodel.wire import BatchName
from tests.batches import START_NS, make_batch, make_host

TOKEN = "a" * 64


def refusal(stream: int, sequence: int = 0, at: int = 0, host: str = "host-1") -> Refusal:
    """Return a refusal of one batch."""
    return Refusal(
        token=TOKEN,
        code=ProblemCode.BUSY,
        host="host-1",
        detail="busy",
        count=1,
        first_ns=START_NS + at,
        last_ns=START_NS + at,
        batch=BatchName(host, f"{stream:032x}", sequence),
    )


def test_a_batch_that_is_stored_since_is_known_as_such(store: Store) -> None:
    store.add_refusals([refusal(1, 5), refusal(2, 5), refusal(3, 5, host="host-2")])
    for sequence in (4, 6):
        store.apply(make_batch(sequence, stream=f"{1:032x}"), START_NS)
    assert [item.is_stored for item in store.refusals()] == [False, False, False]
    store.apply(make_batch(5, stream=f"{1:032x}"), START_NS)
    # One of that stream and number, but of another host.
    store.apply(make_batch(5, stream=f"{2:032x}", host=make_host("host-2")), START_NS)
    store.apply(make_batch(5, stream=f"{3:032x}", host=make_host("host-2")), START_NS)
    stored = {item.batch.stream[-1]: item.is_stored for item in store.refusals() if item.batch}
    assert stored == {"1": True, "2": False, "3": True}
    # Refused once more, it is the newer batch that is asked for.
    store.add_refusals([refusal(1, 7, at=1)])
    newest = store.refusals()[0]
    assert (newest.batch, newest.count, newest.is_stored) == (BatchName("host-1", f"{1:032x}", 7), 2, False)


def test_only_so_many_streams_are_kept_apart(store: Store) -> None:
    store.apply(make_batch(stream=f"{1:032x}"), START_NS)
    for number in range(MOST_STREAMS + 9):
        store.add_refusals([refusal(number, at=number)])
    found = store.refusals()
    assert sum(item.count for item in found) == MOST_STREAMS + 9
    assert len(found) == MOST_STREAMS + 1
    (summed,) = (item for item in found if item.batch is None)
    assert (summed.count, summed.first_ns, summed.last_ns) == (9, START_NS, START_NS + 8)
    # What is stored went first.
    assert not any(item.is_stored for item in found)
