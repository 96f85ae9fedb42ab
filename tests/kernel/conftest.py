# SPDX-License-Identifier: Apache-2.0
"""The product, running."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One server and one collector for every test that does not harm them."""
    yield from _running(tmp_path_factory.mktemp("product"))


@pytest.fixture
def own_product(tmp_path: Path) -> Iterator[Product]:
    """A server and a collector that the test may kill."""
    yield from _running(tmp_path)


def _running(directory: Path) -> Iterator[Product]:
    running = Product(directory)
    try:
        running.start_server()
        running.start_collector()
        yield running
    finally:
        running.stop()
