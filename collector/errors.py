# SPDX-License-Identifier: Apache-2.0
"""Errors of the collector.

CollectorError
├── ProbeError           the programs cannot be made, attached or read on this host
│   ├── CompileTimeoutError  the programs were not compiled in time
│   ├── BytecodeError        what the compiler made cannot be used on this kernel
│   └── PinnedError          what an earlier collector left counting can never be read
├── DataDirectoryError   the directory for what is written is not this user's own
├── SpoolError           the spool's directory cannot be used
│   └── SpoolLockedError     another collector is using it
└── ServerAddressError   the server's URL or certificate file cannot be used
"""


class CollectorError(Exception):
    """Base of everything that the collector raises; its message is one line for the operator."""

    def __init__(self, found: str, remedy: str = "") -> None:
        """:param remedy: what to do about it; both are in the message"""
        super().__init__(f"{found}; {remedy}" if remedy else found)
        self.found = found
        self.remedy = remedy


class ProbeError(CollectorError):
    """The BPF programs cannot be made, attached or read; the message says what is missing, and the remedy."""


class CompileTimeoutError(ProbeError):
    """The programs were not compiled in time; with more of it they may be."""


class BytecodeError(ProbeError):
    """What the compiler made is refused: by the kernel's verifier, or by this version's views of the maps."""


class PinnedError(ProbeError):
    """A pinned set is not whole, or of a version that this one cannot read."""


class DataDirectoryError(CollectorError):
    """The collector's directory is somebody else's, or can be written by others, or holds links."""


class SpoolError(CollectorError):
    """The spool's directory cannot be made, read or written."""


class SpoolLockedError(SpoolError):
    """Another collector holds the spool's directory."""


class ServerAddressError(CollectorError):
    """What was given to reach the server with can never work: URL, certificate file."""
