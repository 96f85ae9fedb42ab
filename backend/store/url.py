# SPDX-License-Identifier: Apache-2.0
"""Database URLs: read once, here, and matched to the module that serves them."""

import importlib
from typing import Protocol, cast

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from backend.errors import StoreError
from backend.store.contract.store import Store

_MODULES = {"sqlite": "backend.store.sql.sqlite", "postgresql": "backend.store.sql.postgresql"}


class Database(Protocol):
    """What a database's module has."""

    def open_store(self, url: URL) -> Store:
        """Return the store that the URL names."""

    def create_migration_engine(self, url: URL) -> Engine:
        """Return an engine for migrations."""


def database_of(url: str) -> tuple[Database, URL]:
    """Return the module that serves a URL, and the URL as SQLAlchemy reads it.

    :raises StoreError: the URL cannot be read, or nothing serves its scheme
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise StoreError(
            "the database URL cannot be read; write sqlite:///path or postgresql://host/name"
        ) from exc
    if parsed.drivername not in _MODULES:
        known = ", ".join(f"{scheme}://" for scheme in _MODULES)
        raise StoreError(f"no store for {parsed.drivername}://; there is {known}")
    return cast(Database, importlib.import_module(_MODULES[parsed.drivername])), parsed
