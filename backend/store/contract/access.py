# SPDX-License-Identifier: Apache-2.0
"""Who may read and hand in, what came by whom, and what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from faultmodel.problem import ProblemCode
from faultmodel.wire import BatchName


@dataclass(frozen=True, slots=True)
class Token:
    """A token as stored: its SHA-256, never itself. ``host`` is set for kind ``ingest``, else None."""

    sha256: str
    kind: str
    host: str | None
    created_ns: int | None = None
    """UTC, None of tokens that an earlier release made."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored: the SHA-256 of its name, never itself, and of the token that opened it."""

    sha256: str
    token: str
    ends_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Requests to hand in a batch that were refused for one reason, with one token. Times: UTC ns.

    ``token`` is the token's hash, empty where it was none or not known; ``host`` the token's. ``batch`` is
    the newest, where it is known which it was: then all were of its stream. ``is_stored``: it has been
    taken since.
    """

    token: str
    code: ProblemCode
    host: str
    detail: str
    """What the newest answer said."""
    count: int
    first_ns: int
    last_ns: int
    batch: BatchName | None = None
    is_stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came by one token: hosts by name and VMs by id, those of which others brought some apart."""

    hosts: Sequence[str]
    shared_hosts: Sequence[str]
    vms: Sequence[str]
    shared_vms: Sequence[str]
