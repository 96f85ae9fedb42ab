# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL for the tests that ask for one."""

from tests.postgresql import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]
