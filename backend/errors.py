# SPDX-License-Identifier: Apache-2.0
"""Errors of the server.

BackendError
├── BatchError        a batch contradicts itself
├── BusyError         others are served now; the same may be asked again
├── LostJobError      another server has taken a job over
├── NotFoundError     no VM, host or architecture of that name
├── NotNowError       what is asked for cannot be done now
├── NotPossibleError  what is asked for can never be done
├── ParameterError    a query parameter cannot be used
├── RetentionError    things cannot be kept so long
├── SettingError      the server cannot run with its settings
├── WrongHostError    a batch is of another host than its token
└── StoreError        the database cannot be used
    ├── SchemaError   the database is not migrated to this version
    └── TooLongError  reading took longer than it may
"""

from faultmodel.problem import ProblemCode


class BackendError(Exception):
    """Base of everything that the server raises."""


class BatchError(BackendError):
    """A batch contradicts itself, and can never be applied."""


class NotNowError(BackendError):
    """A batch cannot be applied, or a request not taken, now; ``code`` names the reason, which may pass."""

    def __init__(self, code: ProblemCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class BusyError(BackendError):
    """Others are served now. Nothing was done; the same may be asked again."""


class LostJobError(BackendError):
    """Another server has taken this job over; what this one did last is undone."""


class NotFoundError(BackendError):
    """Nothing has this name."""


class NotPossibleError(BackendError):
    """It can never be done, as things are; the message says what to do instead."""


class ParameterError(BackendError):
    """A query parameter cannot be used; ``parameter`` is its name."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class RetentionError(BackendError):
    """Things cannot be kept so long, or not while others are."""


class SettingError(BackendError):
    """The server cannot run with these settings, or a token file cannot be made."""


class StoreError(BackendError):
    """The database cannot be reached or used."""


class SchemaError(StoreError):
    """The database's tables are not those of this version."""


class TooLongError(StoreError):
    """Reading took longer than it may, or nobody waits for it any more."""


class WrongHostError(BackendError):
    """The batch is of another host than the token is for."""
