# SPDX-License-Identifier: Apache-2.0
"""Bytecode is kept for the next start, and used only if it is whole, one's own and of the same compiler."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from collector.probe import loader, syscall
from collector.probe.bytecode import Bytecode, MapDefinition, Program, by_name, identities
from collector.probe.bytecode_cache import MOST_FILES, BytecodeCache, key_of
from collector.probe.compiler_process import Order
from tests.collector.spooling import disk_that_takes

KEY = "0" * 64
LOAD_A_MAP = bytes.fromhex("1811000007000000 0000000000000000")
"""r1 = the map with the file descriptor 7"""
EXIT = bytes.fromhex("9500000000000000")


@pytest.fixture
def made(tmp_path: Path) -> Bytecode:
    """Bytecode of one program with one map, from a compiler of one file."""
    compiler = tmp_path / "libcompiler.so"
    compiler.write_text("compiler")
    code, uses = by_name(LOAD_A_MAP + EXIT, {7: "counts"})
    return Bytecode(
        maps={"counts": MapDefinition(2, 4, 8, 1, 0, "counts")},
        programs={"fault": Program("kvm:fault", 17, code, uses)},
        layout=None,
        compiler=identities([compiler]),
    )


@pytest.fixture
def cache(tmp_path: Path) -> BytecodeCache:
    """An empty one."""
    return BytecodeCache(tmp_path / "bytecode")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order with headers."""
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "content").write_text("types")
    return Order("int x;", ("-DA",), str(tmp_path / "headers"), ("kvm:fault",), ("counts",))


def test_what_was_kept_is_found_and_nobody_else_can_read_it(
    tmp_path: Path, cache: BytecodeCache, made: Bytecode
) -> None:
    os.umask(0o022)
    assert cache.get(KEY) is None
    cache.put(KEY, made)
    assert cache.get(KEY) == made
    assert oct((tmp_path / "bytecode" / KEY).stat().st_mode) == "0o100600"
    assert oct((tmp_path / "bytecode").stat().st_mode) == "0o40700"


def test_a_program_gets_the_file_descriptors_of_the_process_that_loads_it(made: Bytecode) -> None:
    program = made.programs["fault"]
    assert program.instructions == LOAD_A_MAP.replace(b"\x07", b"\0") + EXIT
    assert program.with_maps({"counts": 513}) == LOAD_A_MAP.replace(b"\x07\0", b"\x01\x02") + EXIT


def test_a_map_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="instruction 1 uses a map that has no name"):
        by_name(EXIT + LOAD_A_MAP, {8: "counts"})


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _of_another_text(path: Path) -> None:
    path.rename(path.with_name("1" * 64))
    path.write_bytes(path.with_name("1" * 64).read_bytes().replace(b"kvm:fault", b"kvm:other"))


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _open_to_others(path: Path) -> None:
    path.chmod(0o622)


def _of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, 65534, 65534)


def _of_another_compiler(path: Path) -> None:
    path.parent.with_name("libcompiler.so").write_text("newer compiler")


def _without_compiler(path: Path) -> None:
    path.parent.with_name("libcompiler.so").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_cut, "damaged"),
        (_empty, "damaged"),
        (_flip, "damaged"),
        (_of_another_text, "damaged"),
        (_link, "Too many levels of symbolic links"),
        (_directory, "Is a directory"),
        (_pipe, "it is no regular file"),
        (_open_to_others, "others can write to it"),
        (_of_another_user, "it belongs to user nobody"),
        (_of_another_compiler, "another compiler: "),
        (_without_compiler, "another compiler: "),
    ],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
def test_what_cannot_be_used_is_said_once_and_is_no_error(
    tmp_path: Path,
    cache: BytecodeCache,
    made: Bytecode,
    spoil: Callable[[Path], None],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    cache.put(KEY, made)
    spoil(tmp_path / "bytecode" / KEY)
    assert cache.get(KEY) is None
    (record,) = caplog.records
    assert record.message.startswith("bytecode not used, compiling anew path=")
    assert reason in record.message


@pytest.mark.parametrize("spoil", [_cut, _link, _open_to_others, _of_another_user])
def test_what_cannot_be_used_is_replaced(
    tmp_path: Path, cache: BytecodeCache, made: Bytecode, spoil: Callable[[Path], None]
) -> None:
    cache.put(KEY, made)
    spoil(tmp_path / "bytecode" / KEY)
    cache.put(KEY, made)
    assert cache.get(KEY) == made


def test_what_is_dropped_is_gone(cache: BytecodeCache, made: Bytecode) -> None:
    cache.put(KEY, made)
    cache.drop(KEY, "the kernel refuses it")
    assert cache.get(KEY) is None


def test_as_many_are_kept_as_there_is_room_for_the_last_used_ones(
    tmp_path: Path, cache: BytecodeCache, made: Bytecode
) -> None:
    keys = [f"{number:064x}" for number in range(MOST_FILES + 3)]
    for number, key in enumerate(keys):
        cache.put(key, made)
        os.utime(tmp_path / "bytecode" / key, ns=(number, number))
        if key != keys[0]:
            assert cache.get(keys[0]) == made
    assert sorted(path.name for path in (tmp_path / "bytecode").iterdir()) == [keys[0], *keys[4:]]


def test_a_full_disk_keeps_nothing_and_the_log_says_so(
    tmp_path: Path, cache: BytecodeCache, made: Bytecode, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bytecode").mkdir()
    with disk_that_takes(100):
        cache.put(KEY, made)
    assert "bytecode not kept path=" in caplog.text
    assert cache.get(KEY) is None
    cache.put(KEY, made)
    assert cache.get(KEY) == made


def test_a_folder_that_cannot_be_made_keeps_nothing(
    tmp_path: Path, made: Bytecode, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache = BytecodeCache(tmp_path / "file" / "bytecode")
    cache.put(KEY, made)
    assert "bytecode not kept path=" in caplog.text
    assert cache.get(KEY) is None


def test_two_that_write_at_once_do_not_disturb_each_other(
    tmp_path: Path, cache: BytecodeCache, made: Bytecode, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(KEY, made)
    other = os.open(tmp_path / "bytecode", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        cache.put("1" * 64, made)
    finally:
        os.close(other)
    assert "bytecode not kept path=" in caplog.text
    assert cache.get(KEY) == made
    assert cache.get("1" * 64) is None


def test_the_same_order_has_the_same_key_wherever_its_headers_lie(order: Order, tmp_path: Path) -> None:
    before = key_of(order)
    (tmp_path / "headers").rename(tmp_path / "moved")
    assert key_of(structs.replace(order, headers=str(tmp_path / "moved"))) == before


@pytest.mark.parametrize(
    "change",
    [
        {"text": "int y;"},
        {"flags": ("-DA", "-DB")},
        {"flags": ("-DA-DB",)},
        {"tracepoints": ("kvm:other",)},
        {"maps": ()},
        {"is_typed": True},
        {"has_both_sides": True},
    ],
    ids=str,
)
def test_another_order_has_another_key(order: Order, change: dict[str, object]) -> None:
    assert key_of(structs.replace(order, **change)) != key_of(order)


def test_other_types_of_the_kernel_have_another_key(order: Order, tmp_path: Path) -> None:
    before = key_of(order)
    (tmp_path / "headers" / "content").write_text("other types")
    assert key_of(order) != before


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_PRELOAD", "BCC_LINUX_VERSION_CODE"])
def test_what_the_compiler_reads_from_the_environment_makes_another_key(
    order: Order, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = key_of(order)
    monkeypatch.setenv(name, "other")
    assert key_of(order) != before


def test_another_bcc_has_another_key(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(order)
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert key_of(order) != before


def test_each_program_has_its_types_from_where_they_are(
    made: Bytecode, cache: BytecodeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_kernel = Program("sched:switch", 17, EXIT, (), type_id=5)
    of_module = Program("kvm:fault", 17, EXIT, (), type_id=5, is_type_in_module=True)
    cache.put(KEY, structs.replace(made, maps={}, programs={"switch": of_kernel, "fault": of_module}))
    loaded: dict[str, object] = {}

    def load_program(_code: bytes, name: str, **asked: object) -> int:
        loaded[name] = asked["btf_fd"]
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(syscall, "load_program", load_program)
    kept = cache.get(KEY)
    assert kept is not None
    loader.load(kept, types_fd=77).close()
    assert loaded == {"switch": 0, "fault": 77}
