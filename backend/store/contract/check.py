# SPDX-License-Identifier: Apache-2.0
"""What a batch must keep to before it may touch the database, beyond what its bytes were checked for."""

from collections.abc import Iterable
from itertools import chain

import msgspec

from backend.errors import BatchError
from backend.store.contract.bounds import check_bounds
from faultmodel import arch
from faultmodel.contradictions import check_content
from faultmodel.errors import UnknownNameError, WireError
from faultmodel.record import exit_kind
from faultmodel.sections import SECTIONS
from faultmodel.wire import Batch


def check_batch(batch: Batch) -> None:
    """Check what no single field shows. :raises BatchError: saying what the batch contradicts"""
    try:
        arch.get(batch.arch)
    except UnknownNameError as exc:
        raise BatchError(str(exc)) from exc
    check_bounds(batch)
    if len({vm.id for vm in batch.vms}) != len(batch.vms):
        raise BatchError("batch describes a VM twice")
    try:
        check_content(batch)
    except WireError as exc:
        raise BatchError(str(exc)) from exc
    for item in batch.exits:
        if item.kind is not exit_kind(item.reason, item.errno):
            raise BatchError(f"exit with reason {item.reason} and errno {item.errno} is no {item.kind}")
    with_texts = (section.rows(batch) for section in SECTIONS if section.has_texts)
    for described in chain((batch.host,), batch.host.probes, *with_texts):
        check_texts(msgspec.structs.astuple(described))


def check_texts(texts: Iterable[object]) -> None:
    """Refuse texts that PostgreSQL cannot hold: on every database, so that all keep the same.

    :raises BatchError: a text has a NUL character
    """
    for text in texts:
        if isinstance(text, str) and "\0" in text:
            raise BatchError(f"text {text!r} has a NUL character")
