# SPDX-License-Identifier: Apache-2.0
"""Every option of the collector, with its unit and default."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from collector.probe.layout import RecordLevel
from collector.spool.queue import DEFAULT_BYTES
from faultmodel import wire

BPFFS = Path("/sys/fs/bpf")
LOCK_FILE = Path("/run/kvmfaults.lock")
MIN_INTERVAL_S = 0.05
MAX_INTERVAL_S = 1.0
"""Counts are kept per second; reading less often would smear them."""
MAX_HOST_CHARACTERS = 256
"""The server takes no longer text."""
MIN_SPOOL_BYTES = wire.MAX_BATCH_BYTES
DEFAULT_RECORDS_PER_SECOND = 10
MAX_RECORDS_PER_SECOND = 1_000_000
MAX_BUDGET_PERCENT = 10_000
DEFAULT_BUDGET = 0.02
DEFAULT_HOOK_BUDGET = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one collector runs with.

    ``server``: base URL. ``token_file`` holds the ingest token. ``host``: the name under which this host is
    stored; the token must be this host's. Everything written lies in ``data_dir`` and ``cache_dir``.
    ``spool_bytes`` bounds what waits on disk for the server. ``interval_s``: how often counters are read and
    shipped.
    ``records``: which guest faults are recorded one by one, of a sample at most ``records_per_second`` of
    each VM.
    ``budget``: CPU time per time that the collector may use before it records less; 0 for no bound.
    ``hook_budget``: the same of each hook that fires whether or not guests fault, before it is shed.
    ``cache_dir``: where what can be made again is kept; None for ``data_dir``.
    ``bpffs``: where programs and maps are pinned. ``lock_file``: locked, so that one collector counts on this
    machine at a time.
    """

    server: str
    token_file: Path
    data_dir: Path
    host: str = field(default_factory=socket.gethostname)
    interval_s: float = 1.0
    spool_bytes: int = DEFAULT_BYTES
    ca_file: Path | None = None
    records: RecordLevel = RecordLevel.SAMPLE
    records_per_second: int = DEFAULT_RECORDS_PER_SECOND
    budget: float = DEFAULT_BUDGET
    hook_budget: float = DEFAULT_HOOK_BUDGET
    bpffs: Path = BPFFS
    lock_file: Path = LOCK_FILE
    cache_dir: Path | None = None

    @property
    def spool_directory(self) -> Path:
        """Where batches wait."""
        return spool_directory(self.data_dir)

    @property
    def headers_directory(self) -> Path:
        """Where the kernel's types are kept between starts."""
        return (self.cache_dir or self.data_dir) / "headers"

    @property
    def bytecode_directory(self) -> Path:
        """Where the compiled programs are kept between starts."""
        return (self.cache_dir or self.data_dir) / "bytecode"

    @property
    def vms_file(self) -> Path:
        """Which VMs lived when a collector last looked."""
        return self.data_dir / "vms.json"

    @property
    def pins_file(self) -> Path:
        """Under which name the programs and maps are pinned."""
        return pins_file(self.data_dir)

    @property
    def requests_file(self) -> Path:
        """Which VMs are to be recorded in full."""
        return requests_file(self.data_dir)


def spool_directory(data_dir: Path) -> Path:
    """Where batches wait."""
    return data_dir / "spool"


def pins_file(data_dir: Path) -> Path:
    """Under which name the programs and maps are pinned."""
    return data_dir / "pins"


def requests_file(data_dir: Path) -> Path:
    """Which VMs are to be recorded in full."""
    return data_dir / "requests.json"
