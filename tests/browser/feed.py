# SPDX-License-Identifier: Apache-2.0
"""Hands batches to a server as a collector does."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.request import Request, urlopen

from faultmodel import wire
from faultmodel.wire import Batch
from tests.product import Product


class Feed:
    """A server with an ingest token for each host."""

    def __init__(self, directory: Path, hosts: Sequence[str]) -> None:
        self.product = Product(directory)
        self.end_s = 0
        """Where the scene ends, UTC seconds."""
        self._tokens = {host: self._token(host) for host in hosts}

    @classmethod
    def of_copy(cls, directory: Path, other: "Feed", stored: Path) -> Self:
        """A server with what another has stored, and its tokens.

        :param stored: copy of the other's database
        """
        feed = cls(directory, [])
        shutil.copyfile(stored, directory / "kvmfaults.db")
        feed.end_s = other.end_s
        feed._tokens = other._tokens
        return feed

    def _token(self, host: str) -> str:
        path = self.product.directory / f"{host}.token"
        self.product.enrol(host, path)
        return path.read_text(encoding="utf-8").strip()

    def send(self, batch: Batch) -> None:
        """Hand in a batch; it must be taken."""
        headers = {
            "Content-Type": wire.CONTENT_TYPE,
            "Authorization": f"Bearer {self._tokens[batch.host.name]}",
        }
        request = Request(f"{self.product.url}/api/v1/ingest", data=wire.encode(batch), headers=headers)
        with urlopen(request, timeout=30) as response:
            assert response.status == 200
