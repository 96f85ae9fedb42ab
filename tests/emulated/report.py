# SPDX-License-Identifier: Apache-2.0
"""What the sessions of one test run have shown, for its summary and for docs/kernels.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.matrix import Row, provide
from tests.emulated.session import Account, Session, Stage, run_session

SESSIONS = pytest.StashKey[list[tuple[Row, Session]]]()
"""Those of this test run, in their order."""

_HEAD = (
    "kernel",
    "architecture",
    "KVM",
    "syndrome",
    "level",
    "outcome",
    "how faults ended",
    "stalls",
    "vCPU",
    "memory-fault exit",
    "private flag",
    "bare error exit",
    "livelocks",
    "memslots",
    "KVM's own counts",
)


def traced(
    config: pytest.Config,
    row: Row,
    kernels: Path,
    folder: Path,
    guests: Mapping[str, Sequence[str]],
    modules: Mapping[str, Sequence[str]] = {},
    afterwards: Callable[[Stage], Any] | None = None,
) -> Session:
    """Run a row's session and note it. As ``run_session``.

    :param kernels: where kernels are kept
    :param folder: empty; for all that the session leaves
    """
    platform, kernel = provide(row, kernels)
    session = run_session(platform, kernel, folder, guests, row.kvm_parameters, modules, afterwards)
    config.stash[SESSIONS].append((row, session))
    return session


def summary(row: Row, session: Session) -> str:
    """Return a session in one line."""
    ran = [account for account in session.accounts.values() if account.shown]
    faults = sum(len(account.shown.faults) for account in ran if account.shown)
    exits = sum(len(account.shown.exits) for account in ran if account.shown)
    refused = len(session.accounts) - len(ran)
    again = f"done again {len(session.repeated)} times ({'; '.join(session.repeated)})"
    return (
        f"{row.architecture} {session.kernel.release} {session.status['flavour']}: {len(ran)} guests"
        f"{f' ({refused} this kernel cannot run)' if refused else ''}, {faults} faults and {exits} exits"
        f" compared, {session.seconds:.0f} s, {again if session.repeated else 'at the first attempt'}"
    )


def table(sessions: list[tuple[Row, Session]]) -> str:
    """Return what each kernel showed as a table in Markdown."""
    lines = [_HEAD, ("---",) * len(_HEAD), *(_cells(row, session) for row, session in sessions)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(row: Row, session: Session) -> tuple[str, ...]:
    accounts = list(session.accounts.values())
    return (
        session.kernel.release,
        row.architecture,
        session.status["flavour"],
        _names({name for account in accounts if account.shown for name in account.shown.formats}),
        _levels(accounts),
        _names(_outcomes(accounts)) or "KVM shows none",
        _names({name for account in accounts if account.shown for name in _of_any_size(account.shown.ended)}),
        _stalls(accounts),
        "each its own" if any(account.shown and len(account.shown.vcpus) > 1 for account in accounts) else "",
        _memory_faults(accounts),
        "raised" if any("private" in _flags(account) for account in accounts) else "by hand-made words only",
        _bare_errors(accounts),
        "by hand-made events only" if session.after is None else "raised",
        *(_looked(session, name) for name in ("memslots", "kvm_counts")),
    )


def _looked(session: Session, name: str) -> str:
    (state, found) = next(
        ((one["state"], one["found"]) for one in session.status["checks"] if one["name"] == name),
        ("", "not on this architecture"),
    )
    return "shown" if state == "ok" else found


def _names(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _flags(account: Account) -> set[str]:
    if account.shown is None:
        return set()
    of_exits = {flag for item in account.shown.exits for flag in item["flags"]}
    return of_exits | set(account.shown.flags)


def _outcomes(accounts: Sequence[Account]) -> set[str]:
    return {name for account in accounts if account.shown for name in _of_any_size(account.shown.outcomes)}


def _of_any_size(outcomes: Iterable[str]) -> set[str]:
    return {"mapped" if name.startswith("mapped_") else name for name in outcomes}


def _stalls(accounts: Sequence[Account]) -> str:
    found = {
        f"`{item['begins']}` to `{item['ends']}`{', blocked' if item['blocked'] else ''}"
        for account in accounts
        if account.shown
        for item in account.shown.stalls["measured_by"]
    }
    return "; ".join(sorted(found))


def _levels(accounts: Sequence[Account]) -> str:
    outcomes = {name for account in accounts if account.shown for name in account.shown.outcomes}
    mapped = [name.removeprefix("mapped_").upper() for name in sorted(outcomes) if name.startswith("mapped_")]
    if mapped:
        return f"of the mapping: {', '.join(reversed(mapped))}"
    levels = {flag for account in accounts for flag in _flags(account) if flag.startswith("level_")}
    return f"of the fault, in the word: {', '.join(sorted(level[-1] for level in levels))}"


def _memory_faults(accounts: Sequence[Account]) -> str:
    exits = _exits(accounts, "memory_fault")
    if not exits:
        return "not raised by this kernel"
    return "address, size, flags" + (" and syndrome" if all(item["syndrome"] for item in exits) else "")


def _bare_errors(accounts: Sequence[Account]) -> str:
    exits = _exits(accounts, "bare_error")
    return "with syndrome" if exits and all(item["syndrome"] for item in exits) else "without syndrome"


def _exits(accounts: Sequence[Account], kind: str) -> list[dict[str, object]]:
    return [
        item for account in accounts if account.shown for item in account.shown.exits if item["kind"] == kind
    ]
