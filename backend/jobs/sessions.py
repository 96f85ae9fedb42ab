"""Sessions that have ended are forgotten: nobody else removes them where their browser does not log out."""

from backend.store.contract.store import Store


def forget_ended_sessions(store: Store, now_ns: int) -> None:
    """Remove every session that has ended by now."""
    store.remove_ended_sessions(now_ns)
