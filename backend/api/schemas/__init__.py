"""The bodies of answers, by topic.

64-bit words, addresses and exact times are strings: JSON readers lose integers above 2^53.
"""

from backend.api.schemas.hosts import (
    Costs,
    Host,
    HostCosts,
    HostEvent,
    HostEventPage,
    Probe,
    RecentCost,
    Recording,
)
from backend.api.schemas.ledger import HostBatches, HostLedger, Ledger, LedgerLine, VmLedger
from backend.api.schemas.records import Exit, ExitPage, Fault, FaultPage, RawSyndrome
from backend.api.schemas.series import CoveredSpan, OtherSeries, Rates, Series
from backend.api.schemas.server import Applied, Health, Session, Status
from backend.api.schemas.vms import (
    ExitReason,
    FlagCount,
    Flags,
    ListedVm,
    Syndrome,
    Syndromes,
    Trend,
    Vcpu,
    Vm,
    VmDetail,
    VmPage,
    VmTotals,
)
from backend.api.schemas.words import (
    ArchitectureDefinition,
    Architectures,
    Decoded,
    Decoding,
    FieldDefinition,
    FlagDefinition,
    FormatDefinition,
    Reading,
    WordField,
)

__all__ = [
    "Applied",
    "ArchitectureDefinition",
    "Architectures",
    "Costs",
    "CoveredSpan",
    "Decoded",
    "Decoding",
    "Exit",
    "ExitPage",
    "ExitReason",
    "Fault",
    "FaultPage",
    "FieldDefinition",
    "FlagCount",
    "FlagDefinition",
    "Flags",
    "FormatDefinition",
    "Health",
    "Host",
    "HostBatches",
    "HostCosts",
    "HostEvent",
    "HostEventPage",
    "HostLedger",
    "Ledger",
    "LedgerLine",
    "ListedVm",
    "OtherSeries",
    "Probe",
    "Rates",
    "RawSyndrome",
    "Reading",
    "RecentCost",
    "Recording",
    "Series",
    "Session",
    "Status",
    "Syndrome",
    "Syndromes",
    "Trend",
    "Vcpu",
    "Vm",
    "VmDetail",
    "VmLedger",
    "VmPage",
    "VmTotals",
    "WordField",
]
