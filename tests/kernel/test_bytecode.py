# SPDX-License-Identifier: Apache-2.0
"""A later start loads what an earlier one compiled: the same programs and maps, bit for bit."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs

from collector.probe import bytecode_cache
from collector.probe.bytecode import Bytecode
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Terms
from collector.probe.handles import Handles
from collector.probe.headers import ensure_headers, read_facts
from collector.probe.loading import load
from collector.probe.plan import make_plan
from collector.probe.sides import Sides
from collector.probe.source import Limits, make_source
from tests.product import START_S, Product, wait_for

pytestmark = pytest.mark.kernel

_SHOWN = (
    "map_type",
    "key_size",
    "value_size",
    "max_entries",
    "map_flags",
    "prog_type",
    "prog_tag",
    "verified",
)
"""Lines of /proc/PID/fdinfo of maps and programs; the tag is a digest of the instructions."""


@dataclass
class Starts:
    """Loads programs as a start does, and counts how often they were compiled."""

    headers: Path
    cache: BytecodeCache
    compiled: int = field(default=0, init=False)

    @contextmanager
    def start(self, limits: Limits | None = None, sides: Sides = Sides.AS_NEEDED) -> Iterator[Handles]:
        """Load them."""
        plan = make_plan(read_facts(self.headers))
        source = make_source(plan, limits)
        loaded = load(
            plan, source, self.headers, sides=sides, cache=self.cache, terms=Terms(announce=self._count)
        )
        try:
            yield loaded
        finally:
            loaded.close()

    def _count(self) -> None:
        self.compiled += 1


@pytest.fixture
def starts(headers_cache: Path, tmp_path: Path) -> Starts:
    """Starts with a cache of their own, which is empty."""
    return Starts(ensure_headers(headers_cache), BytecodeCache(tmp_path / "bytecode"))


@pytest.fixture(scope="module")
def kept(headers_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first start compiled and kept, to copy."""
    folder = tmp_path_factory.mktemp("kept")
    first = Starts(ensure_headers(headers_cache), BytecodeCache(folder))
    with first.start():
        assert first.compiled == 1
    return folder


@pytest.fixture
def later_starts(starts: Starts, kept: Path, tmp_path: Path) -> Starts:
    """Starts after the first, with a cache of their own that has what that one compiled."""
    shutil.copytree(kept, tmp_path / "bytecode")
    return starts


def _shown(loaded: Handles) -> dict[str, list[str]]:
    return {
        name: [
            line
            for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
            if line.startswith(_SHOWN)
        ]
        for name, fd in loaded.all().items()
    }


@pytest.mark.parametrize("sides", [Sides.AS_NEEDED, Sides.BOTH])
def test_what_is_loaded_again_is_what_was_compiled_bit_for_bit(starts: Starts, sides: Sides) -> None:
    with starts.start(sides=sides) as compiled, starts.start(sides=sides) as again:
        assert starts.compiled == 1
        shown = _shown(again)
        assert shown == _shown(compiled)
    assert [name for name, lines in shown.items() if len(lines) < 3] == []


def test_other_programs_are_compiled(starts: Starts) -> None:
    with starts.start(), starts.start(Limits(vms=17)) as other, starts.start(sides=Sides.BOTH) as both:
        assert starts.compiled == 3
        assert "max_entries:\t17" in _shown(other)["map/vms"]
        assert both.has_both_sides
    with starts.start(), starts.start(Limits(vms=17)), starts.start(sides=Sides.BOTH):
        assert starts.compiled == 3


def test_what_another_compiler_made_is_compiled_anew(later_starts: Starts, tmp_path: Path) -> None:
    for path in (tmp_path / "bytecode").iterdir():
        made = later_starts.cache.get(path.name)
        assert made is not None
        libbcc = next(one for one in made.compiler if "libbcc" in one.path)
        older = structs.replace(libbcc, modified_ns=libbcc.modified_ns - 1)
        later_starts.cache.put(path.name, structs.replace(made, compiler=(older,)))
    with later_starts.start():
        assert later_starts.compiled == 1
    with later_starts.start():
        assert later_starts.compiled == 1


def test_what_the_kernel_refuses_is_compiled_anew_and_replaced(
    later_starts: Starts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with later_starts.start() as loaded:
        assert later_starts.compiled == 0
        names = sorted(loaded.programs)
    for path in (tmp_path / "bytecode").iterdir():
        made = later_starts.cache.get(path.name)
        assert made is not None
        later_starts.cache.put(path.name, _without_a_return_value(made))
    with later_starts.start() as loaded:
        assert later_starts.compiled == 1
        assert sorted(loaded.programs) == names
    assert "compiling anew" in caplog.text
    with later_starts.start():
        assert later_starts.compiled == 1


def _without_a_return_value(made: Bytecode) -> Bytecode:
    """Its programs end at once, with nothing in the register that they return."""
    leave = bytes.fromhex("9500000000000000")
    programs = {
        name: structs.replace(one, instructions=leave, uses=()) for name, one in made.programs.items()
    }
    return structs.replace(made, programs=programs)


def test_a_map_that_this_version_does_not_know_how_to_read_is_compiled_anew(
    later_starts: Starts, tmp_path: Path
) -> None:
    for path in (tmp_path / "bytecode").iterdir():
        made = later_starts.cache.get(path.name)
        assert made is not None
        if "vms" not in made.maps:
            continue
        longer = structs.replace(made.maps["vms"], value_size=made.maps["vms"].value_size + 8)
        later_starts.cache.put(path.name, structs.replace(made, maps={**made.maps, "vms": longer}))
    with later_starts.start():
        assert later_starts.compiled == 1


def test_a_new_version_compiles_its_own(
    later_starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "bytecode_cache.py"
    newer.touch()
    newer.with_name("compiler.py").write_text("# another way to read what BCC compiles")
    monkeypatch.setattr(bytecode_cache, "__file__", str(newer))
    with later_starts.start():
        assert later_starts.compiled == 1


def test_the_second_start_of_a_collector_compiles_nothing(tmp_path: Path) -> None:
    product = Product(tmp_path)
    product.start_server()
    try:
        product.cache_dir = tmp_path / "cache"
        product.start_collector()
        log = tmp_path / "collector.log"
        assert log.read_text().count("compiling the programs") == 1
        product.restart_collector()
        wait_for(lambda: log.read_text().count(" attached tracepoints=") == 2 or None, START_S, "it attaches")
        assert log.read_text().count("compiling the programs") == 1
        assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["bytecode", "headers"]
        assert not (tmp_path / "headers").exists()
    finally:
        product.stop()
