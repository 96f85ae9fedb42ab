# SPDX-License-Identifier: Apache-2.0
"""Stalls as bodies of answers."""

from typing import Any

from backend.api import schemas
from backend.query.outcomes import Ended, is_derived, level_of
from backend.query.stall_buckets import Times, ordered
from backend.query.stall_heat import MEDIAN, NEARLY_ALL
from backend.query.stall_measuring import Measuring
from backend.query.stalls import Stall, VcpuStall
from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.units import NS_PER_S


def seconds(ns: int | None) -> float | None:
    """Return a time in s."""
    return None if ns is None else ns / NS_PER_S


def times_body(times: Times, *, has_blocked: bool) -> schemas.StallTimes:
    """Return the body of times. :param has_blocked: whether it is known how long vCPUs were asleep"""
    return schemas.StallTimes(**_times(times, has_blocked=has_blocked))


def stall_body(item: Stall) -> schemas.Stall:
    """Return the body of faults that were alike."""
    vm, access, outcome, nested = item.key
    return schemas.Stall(
        vm=vm,
        access=Access(access),
        outcome=Outcome(outcome),
        derived=is_derived(outcome, item.arch),
        nested=nested,
        **_times(item.times, has_blocked=item.has_blocked),
    )


def vcpu_stall_body(item: VcpuStall) -> schemas.VcpuStall:
    """Return the body of a vCPU's stalls."""
    found = item.found
    return schemas.VcpuStall(
        vm=found.vm,
        vcpu=found.vcpu,
        count=found.count,
        timed=found.timed,
        running_s=seconds(item.running_ns),
        blocked_s=seconds(found.blocked_ns) if item.has_blocked else None,
        max_s=seconds(found.max_ns) if found.timed else None,
        share=item.share,
    )


def ended_body(item: Ended) -> schemas.EndedFaults:
    """Return the body of faults that ended alike."""
    vm, access, outcome, nested = item.key
    return schemas.EndedFaults(
        vm=vm,
        access=Access(access),
        outcome=Outcome(outcome),
        level=level_of(outcome),
        layer="l2" if nested else "l1",
        derived=is_derived(outcome, item.arch),
        count=item.count,
        share=item.share,
    )


def measured_by_body(item: Measuring) -> schemas.MeasuredBy:
    """Return the body of what a host's stalls are measured by."""
    return schemas.MeasuredBy(host=item.host, begins=item.begins, ends=item.ends, blocked=item.blocked)


def _times(times: Times, *, has_blocked: bool) -> dict[str, Any]:
    return {
        "count": times.count,
        "timed": times.timed,
        "running_s": seconds(times.running_ns),
        "blocked_s": seconds(times.blocked_ns) if has_blocked else None,
        "estimated": times.is_estimated,
        "p50_s": seconds(times.quantile_ns(MEDIAN)),
        "p99_s": seconds(times.quantile_ns(NEARLY_ALL)),
        "max_s": seconds(times.max_ns),
        "buckets": [{"le_us": end_us, "count": count} for end_us, count in ordered(times.buckets)],
    }
