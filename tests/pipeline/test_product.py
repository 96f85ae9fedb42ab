# SPDX-License-Identifier: Apache-2.0
"""Recorded traces through the commands that a user runs, to the server's own answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline import recordings
from tests.product import Product

NAMES = (
    "arm64-6.18.15-rwx_cold",
    "riscv64-6.12.107-smp",
    "x86_64-6.12.107-npt0-mmio",
    "x86_64-6.12.107-swprot-swprot",
    "x86_64-6.18.15-cow",
)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Return a server that was sent the recordings twice."""
    started = Product(tmp_path_factory.mktemp("product"))
    started.start_server(expect_collector=False)
    try:
        for _ in range(2):
            _import(started, *(recordings.path_of(name) for name in NAMES))
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("name", NAMES)
def test_the_api_has_the_counts_of_an_imported_trace(product: Product, name: str) -> None:
    vm = product.vm(recordings.pid(name))
    assert vm is not None
    assert (vm["name"], vm["faults"]) == ("kt", recordings.fault_lines(name))
    assert vm["arch"] == {"x": "x86_64", "a": "aarch64", "r": "riscv64"}[name[0]]


def test_the_api_has_the_syndromes_with_their_format(product: Product) -> None:
    vm = product.vm(recordings.pid("x86_64-6.12.107-npt0-mmio"))
    assert vm is not None
    words = product.get(f"vms/{vm['id']}/syndromes")["items"]
    assert {item["format"] for item in words} == {"pferr"}
    assert {item["word"] for item in words} >= {"0x8", "0xa"}


def test_the_api_lists_exits_whose_reason_the_text_left_out(product: Product) -> None:
    vm = product.vm(recordings.pid("x86_64-6.12.107-swprot-swprot"))
    assert vm is not None
    exits = product.get("exits", vm=vm["id"], kind="unclassified_error", limit=200)["items"]

    assert len(exits) == 107
    assert {(item["reason_name"], item["errno_name"], item["gpa"]) for item in exits} == {
        ("not shown", "EFAULT", None)
    }
    assert product.get("exits", vm=vm["id"], kind="memory_fault")["items"] == []


def test_the_host_says_that_it_is_a_recording(product: Product) -> None:
    states = {host["name"]: host["state"] for host in product.get("status")["hosts"]}
    assert states == {f"test-host/{name}": "replay" for name in NAMES}


def _import(product: Product, *files: Path) -> None:
    product.command(
        *("collector", "import", "--server", product.url, "--token-file", str(product.token)),
        *("--host", product.host, *map(str, files)),
    )
