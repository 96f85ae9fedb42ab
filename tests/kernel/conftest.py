# SPDX-License-Identifier: Apache-2.0
"""The product, running."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One server and one collector for every test that does not harm them."""
    with _serving(tmp_path_factory.mktemp("product")) as running:
        running.start_collector()
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Product]:
    """A server that the test may kill, for a collector that it starts with options of its own."""
    with _serving(tmp_path) as running:
        yield running


@pytest.fixture
def own_product(own_server: Product) -> Product:
    """A server and a collector that the test may kill."""
    own_server.start_collector()
    return own_server


@contextmanager
def _serving(directory: Path) -> Iterator[Product]:
    running = Product(directory)
    try:
        running.start_server()
        yield running
    finally:
        running.stop()
