# SPDX-License-Identifier: Apache-2.0
"""What a guest says it did and what the server shows of it, or why its kernel could not run it."""

import pytest

from tests.emulated.session import Session, Shown
from tests.kernel.guests import Truth

_REFUSED = "no guest_memfd that the host can map"
_HAS_IT_FROM = (6, 18)


def both(session: Session, guest: str) -> tuple[Truth, Shown]:
    """Return both, of a guest. A kernel may refuse a guest_memfd alone, and only one before 6.18."""
    account = session.accounts[guest]
    if account.shown is None:
        assert _REFUSED in account.refused
        assert session.kernel.version < _HAS_IT_FROM, f"{session.kernel.release}: {account.refused}"
        pytest.skip(f"{session.kernel.release} cannot run it: {account.refused}")
    assert account.truth is not None
    return account.truth, account.shown
