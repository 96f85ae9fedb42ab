# SPDX-License-Identifier: Apache-2.0
"""From maps to records: what was added between two readings, by VM and vCPU.

``session`` reads until the counting ends: ``reader`` takes a reading, with ``differences`` and
``reconciler``, and ``decoder`` makes the architecture's records of it. ``pins``, ``predecessor`` and
``other_sets`` take over the sets that count already; ``checks`` finds out what this host lacks.
"""
