# SPDX-License-Identifier: Apache-2.0
"""Waits and pressure as bodies of answers, and as text in the form of PSI."""

from typing import Any

from backend.api import schemas
from backend.query.pressure import Pressure
from backend.query.waits import Wait, WaitTotal
from faultmodel.units import NS_PER_S, NS_PER_US
from faultmodel.waits import WaitsFor

_PERCENT = 100
_DIGITS = 2
"""Of percents, as PSI has them."""


def wait_body(item: Wait) -> schemas.Wait:
    """Return the body of what a VM waited for."""
    return schemas.Wait(
        vm=item.vm,
        waits_for=WaitsFor(item.waits_for),
        count=item.count,
        seconds=item.ns / NS_PER_S,
        share=item.share,
        details=[
            schemas.WaitDetail(detail=one.detail, count=one.count, seconds=one.ns / NS_PER_S)
            for one in item.details
        ],
        details_left_out=item.details_left_out,
    )


def wait_total_body(item: WaitTotal) -> schemas.WaitTotal:
    """Return the body of what all VMs waited for."""
    return schemas.WaitTotal(waits_for=WaitsFor(item.waits_for), count=item.count, seconds=item.ns / NS_PER_S)


def vm_pressure_body(item: Pressure) -> schemas.VmPressure:
    """Return the body of a VM's pressure."""
    return schemas.VmPressure(vm=item.of, **_pressure(item))


def host_pressure_body(item: Pressure) -> schemas.HostPressure:
    """Return the body of a host's pressure."""
    return schemas.HostPressure(**_pressure(item))


def percent(share: float | None) -> float | None:
    """Return a share in percent, with two digits."""
    return None if share is None else round(share * _PERCENT, _DIGITS)


def psi_text(item: schemas.HostPressure) -> str | None:
    """Return a pressure as a file of PSI has it; None where one of its averages is not known."""
    lines = []
    for name, line in (("some", item.some), ("full", item.full)):
        averages = {"avg10": line.avg10, "avg60": line.avg60, "avg300": line.avg300}
        if None in averages.values():
            return None
        fields = " ".join(f"{key}={value:.2f}" for key, value in averages.items())
        lines.append(f"{name} {fields} total={line.total_us}\n")
    return "".join(lines)


def _pressure(item: Pressure) -> dict[str, Any]:
    some = [percent(share.some if share else None) for share in item.lately]
    full = [percent(share.full if share else None) for share in item.lately]
    return {
        "host": item.host,
        "some": _line(some, item.total.some_ns),
        "full": _line(full, item.total.full_ns),
        "at_ms": item.at_ms,
    }


def _line(averages: list[float | None], total_ns: int) -> schemas.PressureOf:
    avg10, avg60, avg300 = averages
    return schemas.PressureOf(avg10=avg10, avg60=avg60, avg300=avg300, total_us=total_ns // NS_PER_US)
