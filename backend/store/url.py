# SPDX-License-Identifier: Apache-2.0
"""Database URLs: read once, here, and matched to the module that serves them."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, cast

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from backend.errors import StoreError
from backend.store.contract.store import Store

_SERIES = {"clickhousedb": "backend.store.clickhouse.opening"}
_MODULES = {"sqlite": "backend.store.sql.sqlite", "postgresql": "backend.store.sql.postgresql"}


class Database(Protocol):
    """What a database's module has."""

    def open_store(self, url: URL, **options: Any) -> Store:  # noqa: ANN401 - handed on as they are
        """Return the store that the URL names. ``new_series``: makes a series that lies elsewhere."""

    def create_migration_engine(self, url: URL) -> Engine:
        """Return an engine for migrations."""


class SeriesDatabase(Protocol):
    """What the module of a database for series alone has."""

    def series_at(self, url: URL) -> Any:  # noqa: ANN401 - handed on to ``Database.open_store``
        """Return what makes the series that the URL names."""


def database_of(url: str) -> tuple[Database, URL]:
    """Return the module that serves a URL, and the URL as SQLAlchemy reads it.

    :raises StoreError: the URL cannot be read, or nothing serves its scheme
    """
    parsed = _parsed(url, "the database URL cannot be read; write sqlite:///path or postgresql://host/name")
    return cast(Database, _module_for(parsed, _MODULES)), parsed


def series_of(url: str) -> tuple[SeriesDatabase, URL]:
    """Return the module that serves a URL of a series, and the URL as SQLAlchemy reads it.

    :raises StoreError: the URL cannot be read, or nothing serves its scheme
    """
    parsed = _parsed(url, "the series URL cannot be read; write clickhousedb://user:password@host:8123/name")
    return cast(SeriesDatabase, _module_for(parsed, _SERIES)), parsed


def _parsed(url: str, otherwise: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise StoreError(otherwise) from exc


def _module_for(url: URL, modules: Mapping[str, str]) -> ModuleType:
    if url.drivername not in modules:
        known = ", ".join(f"{scheme}://" for scheme in modules)
        raise StoreError(f"no store for {url.drivername}://; there is {known}")
    return importlib.import_module(modules[url.drivername])
