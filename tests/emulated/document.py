# SPDX-License-Identifier: Apache-2.0
"""docs/kernels.md: what the collector shows on which kernel, as the whole matrix has just proved it.

The part about the kernel's own selftests is of another run, and stays as it is when the rest is written.
"""

from pathlib import Path

from tests.emulated.matrix import X86_STATES, Row
from tests.emulated.report import summary, table
from tests.emulated.selftests import results
from tests.emulated.session import Session
from tests.product import TOP

DOCUMENT = TOP / "docs" / "kernels.md"
_TEMPLATE = Path(__file__).with_name("kernels.template.md")


def text(sessions: list[tuple[Row, Session]], before: str) -> str:
    """Return the document; what it says of the selftests is as in the document before."""
    states = [session for row, session in sessions if (row.architecture, row.series) == _STATES]
    whole = _TEMPLATE.read_text().format(
        table=table(sessions),
        states_kernel=states[0].kernel.release,
        summaries="\n".join(summary(row, session) for row, session in sessions),
        selftests=f"{_BEGIN}{_END}",
    )
    return _with_part(whole, _part(before))


def with_selftests(before: str, found: list[results.Result]) -> str:
    """Return the document with what a run of the selftests has shown; others' lines stay."""
    lines = results.with_results(results.lines_of(_part(before)), found)
    return _with_part(before, results.table_of(lines))


_STATES = (X86_STATES.architecture, X86_STATES.series)
_BEGIN, _END = (
    "<!-- selftests: written by script/test-kernels --selftests -->\n",
    "<!-- end of selftests -->\n",
)


def _part(document: str) -> str:
    return document.partition(_BEGIN)[2].partition(_END)[0]


def _with_part(document: str, part: str) -> str:
    before, _, rest = document.partition(_BEGIN)
    return before + _BEGIN + part + _END + rest.partition(_END)[2]
