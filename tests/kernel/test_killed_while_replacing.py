# SPDX-License-Identifier: Apache-2.0
"""A collector is killed at a step of replacing what another version left: the next loses and doubles nothing.

The steps are those of ``Predecessor``, of the store of its last reading, and of the pins.
"""

import ctypes
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import msgspec
import pytest

from collector.counting.pins import Pins
from collector.counting.predecessor import Predecessor
from collector.counting.reader import Reader
from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.instant import Instant
from collector.probe.loading import load
from collector.probe.plan import Plan, make_plan
from collector.probe.probes import Probes
from collector.probe.source import Source, make_source
from collector.spool.entry import Parcel
from collector.spool.queue import Spool
from demo.exact import ExactGuest, Order
from tests.kernel.attached import bytecode_of, mounted_bpffs, own_vms

pytestmark = pytest.mark.kernel

STEPS = ("opened", "loaded", "attached", "begun", "read", "stored", "noted", "drained", "removed", "kept")
_BPF = {"x86_64": 321, "aarch64": 280}
_MAP_FREEZE = 22
ORDER = Order(write=400, read=50)


class Killed(BaseException):
    """As SIGKILL would: nothing is caught, and the kernel closes what was open."""


@dataclass
class Life:
    """One collector, from its start to its end."""

    data: Path
    bpffs: Path
    headers: Path
    bytecode: BytecodeCache
    plan: Plan
    source: Source
    killed_at: str = ""
    probes: Probes | None = field(default=None, init=False)

    def of_version(self, version: int) -> Self:
        """The same with other programs, as far as it knows."""
        source = replace(self.source, fingerprint=version.to_bytes(16, "big"))
        return replace(self, source=source)

    def live(self) -> None:
        """Take over what was left, or load programs; read and store once; end without taking anything off."""
        self.data.mkdir(exist_ok=True, mode=0o700)
        pins = _Pins(self.data / "pins", self.bpffs, "host")
        pins.step = self._step
        predecessor = Predecessor(pins, "host")
        with Spool(self.data / "spool") as spool, ExitStack() as at_end:
            at_end.callback(pins.release)
            at_end.callback(predecessor.abandon, is_for_successor=True)
            predecessor.open(spool)
            self._step("opened")
            probes = predecessor.go_on(self.source) or self._load(predecessor)
            at_end.callback(probes.close)
            if not probes.is_attached:
                self._replace(predecessor, probes, spool)
                assert pins.keep(probes, spool.last_number) is None
                self._step("kept")
            self._store(probes, spool)

    def _load(self, predecessor: Predecessor) -> Probes:
        loaded = load(
            self.plan, self.source, self.headers, predecessor=predecessor.handles, cache=self.bytecode
        )
        probes = Probes(loaded)
        self._step("loaded", probes.close)
        return probes

    def _replace(self, predecessor: Predecessor, probes: Probes, spool: Spool) -> None:
        probes.attach(self.plan)
        self._step("attached")
        ended = predecessor.begin(probes, self.source)
        self._step("begun")

        def read_last(probes: Probes, *, until: Instant, is_covered: bool, is_anew: bool) -> None:
            assert not is_anew
            self._store(probes, spool, until)

        predecessor.drain(ended, read_last)

    def _store(self, probes: Probes, spool: Spool, until: Instant | None = None) -> None:
        reading = Reader(probes).read(until)
        self._step("read")
        own = own_vms(reading)
        seen = {f"{vm.kvm:x}.{vm.instance}": one.seen for vm, one in reading.accounts.items() if vm in own}

        def commit(number: int) -> None:
            self._step("stored")
            probes.commit(replace(reading.checkpoint, batch=number))
            self._step("noted")

        spool.put_group(
            [Parcel(msgspec.json.encode(seen))],
            checkpoint=msgspec.msgpack.encode(reading.checkpoint),
            commit=commit,
        )

    def _step(self, name: str, close: Callable[[], None] = lambda: None) -> None:
        if name == self.killed_at:
            close()
            raise Killed


class _Pins(Pins):
    """Pins that say when they are removed."""

    step: Callable[[str], None]

    def remove(self) -> bool:
        """See ``Pins.remove``."""
        self.step("drained")
        found = super().remove()
        self.step("removed")
        return found


@pytest.fixture(scope="module")
def first(headers_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A collector of the oldest version, which has been killed, and whose programs count."""
    headers = ensure_headers(headers_cache)
    plan = make_plan(read_facts(headers))
    top = tmp_path_factory.mktemp("replaced")
    with mounted_bpffs(top / "bpf") as bpffs:
        bytecode = bytecode_of(headers_cache)
        oldest = Life(top / "data", bpffs, headers, bytecode, plan, make_source(plan)).of_version(0)
        oldest.live()
        yield oldest
        Pins(oldest.data / "pins", bpffs, "host").remove()


def _stored(data: Path) -> Counter[str]:
    """How many faults all batches have, by VM."""
    stored: Counter[str] = Counter()
    with Spool(data / "spool") as spool:
        number = 0
        while (batch := spool.after(number)) is not None:
            stored.update(msgspec.json.decode(batch.batch, type=dict[str, int]))
            number = batch.number
    return stored


@contextmanager
def _no_more_files() -> Iterator[None]:
    """Nothing that is opened meanwhile stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("version", range(1, len(STEPS) + 1), ids=STEPS)
def test_every_fault_is_stored_once(first: Life, version: int) -> None:
    """Each replaces what the one before it left."""
    life = first.of_version(version)
    before = _stored(life.data).keys()
    with ExactGuest(ORDER) as guest:
        truths = [guest.follow(part) for part in "ab"]
        with _no_more_files(), pytest.raises(Killed):
            replace(life, killed_at=STEPS[version - 1]).live()
        with _no_more_files():
            life.live()
        truths.append(guest.follow("c"))
        life.live()
    # What a guest faults with before its first order it does once.
    extra = truths[-1].extra_faults
    expected = len(truths) * (ORDER.write + ORDER.read) + extra.read + extra.write + extra.execute
    assert [number for vm, number in _stored(life.data).items() if vm not in before] == [expected]


def test_a_set_that_the_kernel_lets_nobody_note_in_is_closed_at_every_try(first: Life) -> None:
    with ExactGuest(ORDER) as guest:
        guest.follow("a")
    with pytest.raises(Killed):
        replace(first.of_version(len(STEPS) + 1), killed_at="stored").live()
    _freeze(first.bpffs / "kvmfaults" / (first.data / "pins").read_text() / "map-about")
    pins = Pins(first.data / "pins", first.bpffs, "host")
    with Spool(first.data / "spool") as spool, _no_more_files():
        for _ in range(3):
            with pytest.raises(ProbeError, match="cannot note what was read"):
                Predecessor(pins, "host").open(spool)


def _freeze(path: Path) -> None:
    """Let user space change a map no more: BPF_MAP_FREEZE (include/uapi/linux/bpf.h)."""
    fd = syscall.open_pinned(path)
    attr = (ctypes.c_uint32 * 1)(fd)
    assert ctypes.CDLL(None).syscall(_BPF[platform.machine()], _MAP_FREEZE, ctypes.byref(attr), 4) == 0
    os.close(fd)
