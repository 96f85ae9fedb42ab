# SPDX-License-Identifier: Apache-2.0
"""What is read and written of what vCPUs wait for, and of pressure (wait.bpf.h)."""

from collector.probe.compiled import Layout
from collector.probe.layout import PressureSums, VmKey, Wait, WaitKey
from collector.probe.snapshot import COUNTED_WAITS
from collector.probe.view import NumberView, View, check_checkpoints


class WaitViews:
    """The maps of waits and pressures."""

    def __init__(self, layout: Layout) -> None:
        """:raises PinnedError: a map or field is missing"""
        self.wait_key = View.of(layout.key("wait_counts"), WaitKey)
        self.wait = View.of(layout.value("wait_counts"), Wait)
        self.pressure_key = View.of(layout.key("pressures"), VmKey)
        self.pressure = View.of(layout.value("pressures"), PressureSums)
        self.gone_vcpus = NumberView(layout.value("gone_vcpus"))
        has_since = layout.has("switches_since_ns")
        self.switches_since = NumberView(layout.value("switches_since_ns")) if has_since else None
        """None of a set of a version that shed nothing."""
        check_checkpoints(layout, COUNTED_WAITS)

    def lacking(self) -> list[str]:
        """Return the fields that have their default."""
        views = (self.wait_key, self.wait, self.pressure_key, self.pressure)
        return [name for view in views for name in view.lacking]
