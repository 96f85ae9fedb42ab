# SPDX-License-Identifier: Apache-2.0
"""The long-running test: guests fault at full speed while everything around them is killed, filled and cut.

``python -m tests.soak --kills 200`` is the nightly form; ``test_soak.py`` is the short one.

A plan, drawn from a seed, says when each of the actions happens (``plan``, ``actions``) to the product and
what it stands on (``stage``): a relay between collector and server, a small file system under the spool, a
database, and a wall clock of the collector's own. The guests know exactly what they did; ``verdict`` compares
that with what the API shows.
"""
