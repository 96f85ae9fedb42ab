# SPDX-License-Identifier: Apache-2.0
"""What is found out about VMs beside what the programs count, at each reading."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from collector.counting.reading import Reading
from collector.errors import ProbeError
from collector.probe.layout import VmKey
from collector.probe.looks import LookedVm, Looks
from faultmodel.kinds import CheckState
from faultmodel.record import DETAIL_LENGTH, Check
from faultmodel.sections import SECTIONS
from faultmodel.text import cut

logger = logging.getLogger(__name__)

_READ = {
    section.name: msgspec.msgpack.Decoder(tuple[section.row, ...])  # type: ignore[name-defined]
    for section in SECTIONS
    if not section.is_architectures
}
"""As a server reads rows, by section; not those of an architecture's own records."""


class Watcher(Protocol):
    """Adds rows to each reading's content. For one thread."""

    name: str
    """Of its check."""

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return rows by section. :raises ProbeError: the kernel refuses"""

    def lacking(self) -> str:
        """Return what the newest rows lack; empty if they are whole."""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""


class Watchers:
    """All of them. One that the kernel refuses, or that fails, costs its rows, and a check says so.

    Counts are never lost by it. Nor are they by a row that no server takes: it would be refused with its
    batch, and all that is counted there. Such a row is left out, and the check says so.
    """

    def __init__(self, found: Future[tuple[Sequence[Watcher], Sequence[Check]]] | None = None) -> None:
        """:param found: the watchers, once they are loaded, and checks of those that could not be"""
        self._found = found
        self._watchers: Sequence[Watcher] = ()
        self._checks: dict[str, Check] = {}

    @property
    def are_loaded(self) -> bool:
        """Whether all are there that will be."""
        return self._found is None or self._found.done()

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was found at the newest reading."""
        return tuple(self._checks.values())

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> dict[str, Sequence[Any]]:
        """Return rows by section."""
        if self._found is not None and self._found.done():
            try:
                self._watchers, checks = self._found.result()
            except Exception as exc:  # noqa: BLE001 - whatever it is, counting goes on
                checks = [check("looks", self._why_failed("looks", exc))]
            self._checks = {check.name: check for check in checks}
            self._found = None
        found: dict[str, Sequence[Any]] = {}
        for watcher in self._watchers:
            try:
                lacking = ""
                for section, rows in watcher.rows(reading, ids).items():
                    found[section], wrong = _taken(section, rows)
                    lacking = lacking or wrong
                lacking = lacking or watcher.lacking()
            except Exception as exc:  # noqa: BLE001 - whatever it is, counting goes on
                lacking = self._why_failed(watcher.name, exc)
            self._checks[watcher.name] = check(watcher.name, lacking)
        return found

    def _why_failed(self, name: str, exc: Exception) -> str:
        if isinstance(exc, ProbeError):
            return str(exc)
        why = f"{type(exc).__name__}: {exc}"
        before = self._checks.get(name)
        # It may be the same at each reading.
        if before is None or before.found != check(name, why).found:
            logger.error("watcher failed name=%s", name, exc_info=exc)
        return why

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        for watcher in self._watchers if vms else ():
            watcher.forget(vms)


class VmStates:
    """The states of a reading's VMs, looked at once for all watchers."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._reading: Reading | None = None
        self._found: Mapping[VmKey, LookedVm] = {}

    def at(self, reading: Reading, vms: Iterable[VmKey]) -> Mapping[VmKey, LookedVm]:
        """Return the states of those that live. :raises ProbeError: the kernel refuses"""
        if self._reading is not reading:
            self._found = self._looks.vms(vms)
            self._reading = reading
        return self._found


def _taken(section: str, rows: Sequence[Any]) -> tuple[Sequence[Any], str]:
    """Return the rows that a server takes, and why others are none; empty where all are."""
    if section not in _READ:
        return rows, ""
    if not (wrong := _why_not(section, rows)):
        return rows, ""
    return [row for row in rows if not _why_not(section, [row])], f"a row of {section} is left out: {wrong}"


def _why_not(section: str, rows: Sequence[Any]) -> str:
    try:
        _READ[section].decode(msgspec.msgpack.encode(rows))
    except (msgspec.ValidationError, OverflowError) as exc:
        return str(exc)
    return ""


def check(name: str, lacking: str) -> Check:
    """Return a check. :param lacking: empty if all is well"""
    state = CheckState.LACKING if lacking else CheckState.OK
    return Check(name=name, state=state, found=cut(lacking, DETAIL_LENGTH))
