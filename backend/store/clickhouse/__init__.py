# SPDX-License-Identifier: Apache-2.0
"""The series of large fleets in ClickHouse, beside a catalog in SQLite or PostgreSQL.

ClickHouse has no transactions, so the catalog's decide what counts:

- Each batch is a *block*. Its number is given by the catalog, once and never again, and noted as open there
  before anything is inserted. Every row has the number of its block.
- The catalog's transaction that notes the batch also strikes the number off the open ones, last of all.
- Readers leave out the rows of blocks that are open, or not yet given, in the state of the catalog that they
  read: what was inserted by a batch that is not noted is in no answer, however far that got.
- A batch that is sent again is another block. So nothing depends on for how long ClickHouse remembers what
  was inserted: its deduplication tokens (one for each block and table) are there for an insert that the
  client itself repeats, as when a connection breaks.

Coarser levels are summed from finer ones by the same job as over SQL (``sql.series.rollup``). The sum of a
bucket has a version and takes the place of the one before (ReplacingMergeTree). While that goes on, and if
it ends half-way, the catalog has the bucket as pending, and readers take the finer level. Materialised views
would not do: once it is merged, nobody can tell what of a level is of batches that are noted.
"""
