# SPDX-License-Identifier: Apache-2.0
"""The server: takes batches, keeps them, answers queries, serves the page."""
