# SPDX-License-Identifier: Apache-2.0
"""Where batches are kept. The rest of the server needs ``open_store`` and ``contract``.

SQLAlchemy is imported in this package and in the migrations only. Each database is one module.
"""

from backend.store.contract.store import Store
from backend.store.url import database_of, series_of


def open_store(url: str, series: str | None = None) -> Store:
    """Return the store that a URL names: ``sqlite:///path`` or ``postgresql://user:password@host:port/name``.

    ``series``: the URL of its series, where that lies in a database of its own:
    ``clickhousedb://user:password@host:port/name``.

    Nothing is migrated here: see ``Store.check_schema`` and ``backend.store.sql.migrate``.

    :raises StoreError: the URL cannot be read, or nothing serves its scheme
    """
    database, parsed = database_of(url)
    if series is None:
        return database.open_store(parsed)
    series_database, series_url = series_of(series)
    return database.open_store(parsed, new_series=series_database.series_at(series_url))
