# SPDX-License-Identifier: Apache-2.0
"""Every metric that kvmfaults shows to Prometheus, each once. What each of them is exactly, and leaves out,
is in ``docs/metrics.md``; a test holds that page against this list.

Nothing has an address, a PC, a process id or a vCPU as a label: a VM has a bounded number of series.
"""

from collections.abc import Mapping

from faultmodel import exits
from faultmodel.exposition import Family, Kind
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, ExitKind

OTHER = "other"
"""In place of what has no name of its own among a label's values."""
_ERRNOS = frozenset(
    {"none", "EFAULT", "EHWPOISON", "EINTR", "EAGAIN", "EINVAL", "EIO", "ENOMEM", "not shown"}
)
_ACCESSES = frozenset(access.value for access in Access)


def _counter(name: str, labels: tuple[str, ...], help_text: str, unit: str = "") -> Family:
    return Family(f"kvmfaults_{name}", Kind.COUNTER, labels, help_text, unit)


def _gauge(name: str, labels: tuple[str, ...], help_text: str, unit: str = "") -> Family:
    return Family(f"kvmfaults_{name}", Kind.GAUGE, labels, help_text, unit)


def _info(name: str, labels: tuple[str, ...], help_text: str) -> Family:
    return Family(f"kvmfaults_{name}", Kind.INFO, labels, help_text)


BUILD_INFO = _info(
    "build_info", ("version", "program"), "The release of the program that shows these metrics."
)

# VMs.
VM_INFO = _info(
    "vm_info",
    ("vm", "host", "name", "uuid", "vmm", "manager", "arch", "guest"),
    "What a VM is called. Joined to the others by the label vm.",
)
FAULTS = _counter(
    "faults_total",
    ("vm", "access"),
    "Guest faults that KVM took, by what the guest wanted. Without those that could not be counted by their "
    "word, and without the guest's own page faults.",
)
FAULTS_UNCOUNTED = _counter(
    "faults_uncounted_total",
    ("vm",),
    "Guest faults that were seen and are not in kvmfaults_faults_total.",
)
FAULTS_MISSING = _gauge(
    "faults_missing",
    ("vm",),
    "Guest faults of a VM's whole life that its host has seen and that are in no batch that came: those on "
    "their way, and those that the spool dropped.",
)
FAULTS_ENDED = _counter(
    "faults_ended_total",
    ("vm", "access", "outcome"),
    "Guest faults that ended, by how. Without those under way, and those of hosts that do not show it.",
)
STALL = Family(
    "kvmfaults_stall_seconds",
    Kind.HISTOGRAM,
    ("vm",),
    "How long guest faults that ended held their vCPU up. Only of those whose time was taken: of many quick "
    "ones, that is a part.",
    "seconds",
)
STALL_BLOCKED = _counter(
    "stall_blocked_seconds_total",
    ("vm",),
    "The part of kvmfaults_stall_seconds in which the vCPU slept. Nothing where the host does not show it.",
    "seconds",
)
EXITS = _counter(
    "exits_total",
    ("vm", "reason", "errno"),
    "Exits from KVM_RUN to user space. A reason or errno that has no name of its own is other.",
)
ERROR_EXITS = _counter(
    "error_exits_total",
    ("vm", "kind"),
    "Exits in which KVM handed a memory fault to user space: memory-fault and bare error exits. They are in "
    "kvmfaults_exits_total, too.",
)
RECORDS = _counter(
    "fault_records_total",
    ("vm", "state"),
    "Guest faults by whether a record of each was kept: recorded, sampled_out on purpose, or dropped for "
    "want of room. All three together are the faults that were seen.",
)
PRESSURE = _counter(
    "pressure_seconds_total",
    ("vm", "share"),
    "How long at least one vCPU of a VM was blocked in a fault (some), and no other ran (full).",
    "seconds",
)
OUTSTANDING = _gauge(
    "outstanding_faults",
    ("vm",),
    "Guest faults that have begun and not ended, while their vCPU sleeps, as /api/v1/outstanding lists them. "
    "Without VMs of hosts that have not been heard of lately or have shed what shows it, and of closed "
    "userfaultfds.",
)
OLDEST = _gauge(
    "oldest_outstanding_seconds", ("vm",), "For how long the oldest of them has been under way.", "seconds"
)

# Hosts.
HOST_INFO = _info(
    "host_info",
    ("host", "arch", "kernel", "flavour", "collector_version"),
    "What a host is. Joined to the others by the label host.",
)
ATTACHED = _gauge(
    "host_attached",
    ("host",),
    "Whether the newest batch of a host said that its guests are counted. Not what became of it since.",
)
LAST_BATCH = _gauge(
    "host_last_batch_timestamp_seconds",
    ("host",),
    "When the server took the newest batch of a host, by its own clock.",
    "seconds",
)
COVERED = _counter(
    "host_covered_seconds_total",
    ("host",),
    "For how long a host's guests were counted. Without time that is yet to be reported.",
    "seconds",
)
COVERED_TO = _gauge(
    "host_covered_to_timestamp_seconds",
    ("host",),
    "Up to when a host's guests were counted, by the host's clock.",
    "seconds",
)
PROBE = _gauge(
    "probe_attached", ("host", "probe"), "Whether a tracepoint is read. Without those that this kernel lacks."
)
LOSSES = _counter(
    "losses_total",
    ("host", "kind"),
    "What was seen and could not be kept, by kind; their units differ.",
)
BATCHES = _counter(
    "batches_stored_total", ("host",), "Batches of a host that are stored, each once however often it came."
)
BATCHES_DROPPED = _counter(
    "batches_dropped_total",
    ("host",),
    "Batches that a full spool dropped, as far as its collector has reported it.",
)
BATCHES_UNDER_WAY = _gauge(
    "batches_under_way",
    ("host",),
    "Batches that are missing before the newest that came: in the spool, or dropped and not yet reported.",
)
COLLECTOR_CPU = _counter(
    "collector_cpu_seconds_total",
    ("host",),
    "CPU time of the collector's process. Without that of its programs, which run in the vCPUs' threads.",
    "seconds",
)
COLLECTOR_WALL = _counter(
    "collector_seconds_total",
    ("host",),
    "Time for which a collector accounts in kvmfaults_collector_cpu_seconds_total.",
    "seconds",
)
COLLECTOR_MEMORY = _gauge(
    "collector_resident_bytes",
    ("host",),
    "The most memory that the collector's process had in the last minute.",
    "bytes",
)
PROGRAM_TIME = _counter(
    "program_seconds_total",
    ("host",),
    "CPU time of the collector's BPF programs, in the time in which the kernel measured it.",
    "seconds",
)
PROGRAM_RUNS = _counter("program_runs_total", ("host",), "Runs of the programs in that time.")
PROGRAM_MEASURED = _counter(
    "program_measured_seconds_total",
    ("host",),
    "Time in which the kernel measured the programs.",
    "seconds",
)

# The server.
REFUSED = _gauge(
    "refused_requests",
    ("host", "reason"),
    "Requests to hand in a batch that were refused and are remembered; fewer once their token is revoked.",
)
VMS = _gauge("vms", ("state",), "VMs, by whether their series are shown or left_out, as there are too many.")
COUNTERS_FROM = _gauge(
    "counters_from_timestamp_seconds",
    (),
    "From when on counters of VMs, coverage and costs count; 0: all there ever was. There they begin anew.",
    "seconds",
)
DATABASE_BYTES = _gauge(
    "database_bytes",
    ("part",),
    "What the database takes (whole), what of that is used and free, and what it may take (most).",
    "bytes",
)
KEPT_FROM = _gauge(
    "counts_kept_from_timestamp_seconds",
    ("level",),
    "From when on counts are kept in buckets of this length. Without levels of which all is kept.",
    "seconds",
)
ROLLUP_PENDING = _gauge(
    "rollup_pending_ranges", ("level",), "Ranges of time that are yet to be summed up to a level."
)
ROLLUP_FROM = _gauge(
    "rollup_pending_from_timestamp_seconds",
    ("level",),
    "Where the earliest of these ranges begins.",
    "seconds",
)
JOB_ENDED = _gauge(
    "job_last_end_timestamp_seconds",
    ("job",),
    "When a job of the servers ended last, on whichever of them.",
    "seconds",
)
JOB_TOOK = _gauge("job_last_duration_seconds", ("job",), "How long it took then.", "seconds")
JOB_FAILED = _gauge("job_failed", ("job",), "Whether it failed then, or its server died at it.")

OF_BOTH = (BUILD_INFO,)
OF_SERVER = (
    *(VM_INFO, FAULTS, FAULTS_UNCOUNTED, FAULTS_MISSING, FAULTS_ENDED, STALL, STALL_BLOCKED, EXITS),
    *(ERROR_EXITS, RECORDS, PRESSURE, OUTSTANDING, OLDEST),
    *(HOST_INFO, ATTACHED, LAST_BATCH, COVERED, COVERED_TO, PROBE, LOSSES, BATCHES, BATCHES_DROPPED),
    *(BATCHES_UNDER_WAY, COLLECTOR_CPU, COLLECTOR_WALL, COLLECTOR_MEMORY, PROGRAM_TIME, PROGRAM_RUNS),
    *(PROGRAM_MEASURED, REFUSED, VMS, COUNTERS_FROM, DATABASE_BYTES, KEPT_FROM, ROLLUP_PENDING, ROLLUP_FROM),
    *(JOB_ENDED, JOB_TOOK, JOB_FAILED),
)
_REASONS: Mapping[int, str] = {number: reason.name for number, reason in exits.EXIT_REASONS.items()}
MOST_SERIES_OF_VM = (
    1  # its names
    + len(Access)
    + 2
    + len(Access) * len(Outcome)
    + 27  # the histogram: 25 buckets, sum and count
    + 1
    + (len(_REASONS) + 2) * (len(_ERRNOS) + 1)
    + len(ExitKind)
    + 3
    + 2
    + 2
)
"""A VM has no more, whatever its guest does. One with twenty different exits and outcomes has some 70."""


def access_label(access: str) -> str:
    """Return an access as a label's value."""
    return access if access in _ACCESSES else Access.UNKNOWN.value


def outcome_label(outcome: str) -> str:
    """Return an outcome as a label's value."""
    return Outcome(outcome).value


def exit_labels(reason: int, errno: int) -> tuple[str, str]:
    """Return reason and errno of an exit as values of labels, of which there are few."""
    name = exits.reason_name(reason)
    known = exits.errno_name(errno)
    return name if reason in _REASONS or name == "not shown" else OTHER, known if known in _ERRNOS else OTHER
