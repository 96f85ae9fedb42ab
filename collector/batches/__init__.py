# SPDX-License-Identifier: Apache-2.0
"""From records to numbered batches."""
