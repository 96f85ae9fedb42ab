# SPDX-License-Identifier: Apache-2.0
"""Makes the series that a URL names."""

from functools import partial

from sqlalchemy.engine import URL

from backend.store.clickhouse.series import ClickHouseSeries
from backend.store.sql.series.stored import NewSeries


def series_at(url: URL) -> NewSeries:
    """Return what makes a series in the ClickHouse that the URL names; reached when it is first used."""
    return partial(ClickHouseSeries, url)
