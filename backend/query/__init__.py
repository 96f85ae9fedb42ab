# SPDX-License-Identifier: Apache-2.0
"""What the store holds, made into answers: rates on a grid of steps, breakdowns, pages. No HTTP here."""
