# SPDX-License-Identifier: Apache-2.0
"""Sessions of browsers: by the hash of their name, each of a token that may be taken away."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, or_, select

from backend.store.contract.access import Session, Token
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import sessions, tokens
from backend.store.sql.writer import Writer

MOST_SESSIONS = 10_000
"""Whoever has a token may open as many as he likes: those that end first make room."""
# Built once: to build a statement takes longer than to execute it.
_tokens = (
    select(sessions.c.sha256.label("session"), tokens)
    .join(sessions, sessions.c.token == tokens.c.sha256)
    .where(
        sessions.c.sha256.in_(bindparam("hashes", expanding=True)),
        sessions.c.ends_ns > bindparam("after_ns"),
        sessions.c.ends_ns <= bindparam("by_ns"),
    )
)


def add_session(writer: Writer, session: Session) -> None:
    """Add a session; where there are too many, forget those that end first."""
    writer.connection.execute(
        writer.insert(sessions).values(sha256=session.sha256, token=session.token, ends_ns=session.ends_ns)
    )
    beyond = select(sessions.c.ends_ns).order_by(sessions.c.ends_ns.desc()).limit(1).offset(MOST_SESSIONS)
    last_ns = writer.connection.scalar(beyond)
    if last_ns is not None:
        writer.connection.execute(delete(sessions).where(sessions.c.ends_ns <= last_ns))


def session_tokens(
    connection: Connection, hashes: Sequence[str], after_ns: int, by_ns: int
) -> Mapping[str, Token]:
    """Return the tokens of sessions, by hash, as far as they are open and the tokens are still there."""
    return {
        row.session: Token(row.sha256, row.kind, row.host, row.created_ns)
        for some in chunks(hashes)
        for row in connection.execute(_tokens, {"hashes": some, "after_ns": after_ns, "by_ns": by_ns})
    }


def remove_session(writer: Writer, sha256: str) -> None:
    """Forget a session, if it is there."""
    writer.connection.execute(delete(sessions).where(sessions.c.sha256 == sha256))


def remove_sessions_of(writer: Writer, token: str) -> None:
    """Forget every session of a token, by its hash."""
    writer.connection.execute(delete(sessions).where(sessions.c.token == token))


def remove_sessions_outside(writer: Writer, after_ns: int, by_ns: int) -> int:
    """Forget the sessions that do not end after and by these times, and return how many they were."""
    outside = or_(sessions.c.ends_ns <= after_ns, sessions.c.ends_ns > by_ns)
    return writer.connection.execute(delete(sessions).where(outside)).rowcount
