"""docs/kernels.md: what the collector shows on which kernel, as the whole matrix has just proved it."""

from pathlib import Path

from tests.emulated.matrix import X86_STATES, Row
from tests.emulated.report import summary, table
from tests.emulated.session import Session
from tests.product import TOP

DOCUMENT = TOP / "docs" / "kernels.md"
_TEMPLATE = Path(__file__).with_name("kernels.template.md")


def text(sessions: list[tuple[Row, Session]]) -> str:
    """Return the document."""
    states = [session for row, session in sessions if (row.architecture, row.series) == _STATES]
    return _TEMPLATE.read_text().format(
        table=table(sessions),
        states_kernel=states[0].kernel.release,
        summaries="\n".join(summary(row, session) for row, session in sessions),
    )


_STATES = (X86_STATES.architecture, X86_STATES.series)
