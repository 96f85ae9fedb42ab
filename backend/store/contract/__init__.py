# SPDX-License-Identifier: Apache-2.0
"""What a store is, without SQL: what it takes, what it answers, and what it asks of a batch."""
