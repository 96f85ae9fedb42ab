# SPDX-License-Identifier: Apache-2.0
"""Errors of the vocabulary.

FaultModelError
├── ArchitectureError    an architecture module does not provide what it must
├── UnknownNameError     no architecture, or no syndrome format, of that name
├── WordError            a text that is not a 64-bit word
└── WireError            a batch that cannot be read
    └── UnknownVersionError  one that a later version may read
"""


class FaultModelError(Exception):
    """Base of everything that faultmodel raises."""


class ArchitectureError(FaultModelError):
    """An architecture's definition lacks or mistypes something that every architecture must provide."""


class UnknownNameError(FaultModelError):
    """No architecture, or no syndrome format, has this name."""


class WordError(FaultModelError):
    """The text is not an unsigned 64-bit number, decimal or 0x-hexadecimal."""


class WireError(FaultModelError):
    """The bytes are not a batch."""


class UnknownVersionError(WireError):
    """The batch is of a version, an architecture or a format that is not known here: another may read it."""
