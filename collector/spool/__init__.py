# SPDX-License-Identifier: Apache-2.0
"""The bounded queue on disk between counting and shipping."""
