# SPDX-License-Identifier: Apache-2.0
"""Two server processes on one database, in whatever order they store, remove and look."""

from abc import ABC, abstractmethod
from contextlib import ExitStack, closing, suppress

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from backend.errors import NotFoundError
from backend.following import Follower
from backend.store import open_store
from backend.store.contract.store import Store

HOSTS = 2
Step = tuple[object, ...]

_REMOVED = st.tuples(
    st.just("remove"), st.booleans(), st.integers(0, HOSTS - 1), st.one_of(st.none(), st.integers(0, 2))
)
_LOOKED = st.tuples(st.just("look"))


def steps_of(*stored: SearchStrategy[Step]) -> SearchStrategy[list[Step]]:
    """Return steps of these kinds, which a test has of its own, among removals and looks."""
    return st.lists(st.one_of(*stored, _LOOKED, _LOOKED, _REMOVED), min_size=3, max_size=25)


def vm_id(host: int, vm: int) -> str:
    """Return the id of a host's VM."""
    return f"{host + 1:08x}{vm + 1:08x}"


class TwoServers(ABC):
    """The stores of two processes, and what they are held against."""

    def __init__(self, ours: Store, theirs: Store) -> None:
        self.stores = (ours, theirs)

    def take(self, step: Step) -> None:
        """Do what a step says."""
        match step:
            case ("look",):
                self.check()
            case "remove", bool(by), int(host), vm:
                # It may not be there.
                with suppress(NotFoundError):
                    if isinstance(vm, int):
                        self.stores[by].remove_vm(vm_id(host, vm))
                    else:
                        self.stores[by].remove_host(f"host-{host}")
                        self.forget(f"host-{host}")
            case _:
                self.store(step)

    @abstractmethod
    def store(self, step: Step) -> None:
        """Do what a step of the test's own says."""

    @abstractmethod
    def check(self) -> None:
        """Hold what each process has against the database."""

    def forget(self, host: str) -> None:  # noqa: B027 - nothing to do where nothing is kept
        """Take note that a host was removed."""


def go_through(url: str, scene: type[TwoServers], steps: list[Step], *, are_announced: bool) -> None:
    """Take steps with two processes on an empty database, and hold each against it at the end, too.

    :param are_announced: each of them listens to what the other stores
    """
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(closing(open_store(url))) for _ in range(2))
        for store in (ours, theirs) if are_announced else ():
            stack.enter_context(Follower(store, lambda *_: None).running())
        servers = scene(ours, theirs)
        for step in steps:
            servers.take(step)
        servers.check()
