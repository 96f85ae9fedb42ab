"""Wires the collector's stages, from the probes to the shipper. The only module that does."""

import logging
import platform
import threading
import time

from collector.checks import first_missing
from collector.clock import boot_id, measure
from collector.errors import ProbeError
from collector.identity.greeter import Greeter
from collector.identity.process import host_proc
from collector.identity.uevents import KvmEvents
from collector.outbox import Content, Outbox
from collector.probe.headers import ensure_headers
from collector.probe.loader import Probes
from collector.probe.plan import Plan, find_flavour, make_plan
from collector.reader import Reader
from collector.rounds import Rounds
from collector.settings import Settings
from collector.shipper import Shipper
from collector.shipper_http import Uplink
from collector.spool import Spool
from collector.version import version
from collector.vm_file import VmFile
from collector.vms import VmTable
from faultmodel import arch
from faultmodel.record import Host, Probe

logger = logging.getLogger(__name__)

RETRY_S = 5.0
"""How long to wait before trying again to attach, where the host lacks something."""
FLUSH_S = 2.0
"""How long an ordered end waits for the server to take what is left; the rest stays in the spool."""
_DETAIL_CHARACTERS = 1024
"""As many as a host's detail may have."""


class Pipeline:
    """One collector, from attaching to its ordered end."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        """:param stop: set from outside to end"""
        self._settings = settings
        self._stop = stop
        self._architecture = arch.for_machine(platform.machine())
        self._boot_id = boot_id()

    def run(self) -> None:
        """Collect until told to stop. Where the host lacks something, say so, wait and try again.

        :raises CollectorError: the settings or the spool cannot be used
        """
        settings = self._settings
        with Spool(settings.spool_directory, max_bytes=settings.spool_bytes) as spool:
            uplink = Uplink(settings.server, token_file=settings.token_file, ca_file=settings.ca_file)
            shipper = Shipper(spool, uplink)
            shipper.start()
            try:
                self._collect_until_told(Outbox(spool, self._architecture.name))
            finally:
                shipper.flush(FLUSH_S)

    def _collect_until_told(self, outbox: Outbox) -> None:
        while not self._stop.is_set():
            try:
                self._collect(outbox)
            except ProbeError as exc:
                reason = first_missing(self._settings.headers_directory) or str(exc)
                logger.warning("waiting reason=%r retry_s=%g", reason, RETRY_S)
                outbox.send(self._host("waiting", detail=reason), Content())
                self._stop.wait(RETRY_S)

    def _collect(self, outbox: Outbox) -> None:
        headers = ensure_headers(self._settings.headers_directory)
        plan = make_plan((headers / "include" / "vmlinux.h").read_text())
        proc = host_proc()
        with (
            KvmEvents() as events,
            Greeter(proc) as greeter,
            Probes(plan, headers) as probes,
        ):
            reader = Reader(probes)
            host = self._host("attached", plan=plan, events=events)
            logger.info("attached tracepoints=%s flavour=%s", ",".join(plan.attach), plan.flavour.name)
            outbox.send(host, Content())
            table = VmTable(self._boot_id, _boottime_to_utc_ns, proc, greeter.recall)
            memory = VmFile(self._settings.vms_file, self._boot_id)
            for vm in memory.recall():
                # Those that ended while nobody was reading are found to have ended in the first round.
                table.see(vm, time.time_ns())
            rounds = Rounds(reader, table, events, self._architecture)
            while not self._stop.wait(_until_next(self._settings.interval_s)):
                outbox.send(host, rounds.take())
                memory.keep(table.living())
                # The programs name the format of the hardware's words, which another vendor module changes.
                if find_flavour(platform.machine()) != plan.flavour:
                    logger.info("flavour changed, attaching anew")
                    break
            # What is counted until the programs are off belongs to the last round.
            probes.detach()
            ending = self._host("stopped", plan=plan, events=events) if self._stop.is_set() else host
            outbox.send(ending, rounds.take())
            memory.keep(table.living())

    def _host(
        self, state: str, *, plan: Plan | None = None, events: KvmEvents | None = None, detail: str = ""
    ) -> Host:
        return Host(
            name=self._settings.host,
            boot_id=self._boot_id,
            arch=self._architecture.name,
            state=state,
            kernel=platform.release(),
            flavour=plan.flavour.name if plan else "",
            detail=(detail or self._naming_gap())[:_DETAIL_CHARACTERS],
            collector_version=version(),
            probes=_probes(plan, events) if plan and events else (),
        )

    @staticmethod
    def _naming_gap() -> str:
        if host_proc() is None:
            return "VMs are named after their process only: not in the host's pid namespace"
        return ""


def _probes(plan: Plan, events: KvmEvents) -> tuple[Probe, ...]:
    attached = [Probe(tracepoint=name, state="attached") for name in plan.attach]
    absent = [Probe(tracepoint=gap.tracepoint, state="absent", detail=gap.reason) for gap in plan.absent]
    announcements = Probe(
        tracepoint="uevent:kvm",
        state="refused" if events.unavailable else "attached",
        detail=events.unavailable,
    )
    return (*attached, *absent, announcements)


def _boottime_to_utc_ns(boottime_ns: int) -> int:
    # Measured for every new VM: UTC may have been stepped since the last.
    return measure().boottime_to_utc_ns(boottime_ns)


def _until_next(interval_s: float) -> float:
    """Seconds to the next multiple of the interval in UTC: readings end with the second they count for."""
    return interval_s - time.time() % interval_s
