"""The guests of the x86 sessions, and the words of NPT that what they do leaves."""

from tests.emulated.session import Session, Shown
from tests.kernel.guests import Told

GUESTS = {
    "touches": ("demo", "run", "--write", "1000", "--read", "701", "--execute", "303", "--vcpus", "2"),
    "many": ("demo", "run", "--write", "20011"),
    "bare errors": ("tests.emulated.act", "BareError", "39"),
    "memory faults": ("tests.emulated.act", "MemoryFault", "40"),
    "guest_memfd": ("tests.emulated.act", "GuestMemfd", "40"),
    "dirty log": ("tests.emulated.act", "DirtyLog", "40"),
    "copy on write": ("tests.emulated.act", "CopyOnWrite", "40"),
    "huge pages": ("tests.emulated.act", "HugePages", "32"),
    "device": ("tests.emulated.act", "Device", "40"),
    "memslot lost": ("tests.emulated.act", "Hotplug", "40"),
}


def both(session: Session, guest: str) -> tuple[Told, Shown]:
    """Return what a guest told and what was shown of it; it must have run."""
    account = session.accounts[guest]
    assert account.told is not None, account.refused
    assert account.shown is not None
    return account.told, account.shown
