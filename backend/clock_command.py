# SPDX-License-Identifier: Apache-2.0
"""The command with which a server goes on whose clock was ahead for a while, and is right again."""

import argparse
import time
from collections.abc import Callable
from contextlib import closing

from backend.errors import SettingError
from backend.store import open_store
from backend.store.contract.clock import BEHIND_NS
from backend.store.sql.catalog.server_clock import before_release
from backend.times import rfc3339_ns
from faultmodel.text import printable


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_database: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command."""
    clock = commands.add_parser("clock", help="go on after the server's clock was ahead")
    actions = clock.add_subparsers(required=True, metavar="ACTION")
    reset = actions.add_parser(
        "reset",
        help="believe the clock as it is now",
        description="A server takes no batch while its clock is behind the newest batch that it has taken, if"
        " most hosts' clocks say the same. If its clock is right now, and theirs were ahead as well, this"
        " sets to now what was received later. Counts, losses, events and costs stay as they are.",
    )
    reset.add_argument("--yes", action="store_true", help="do it; without, only say what the clock says")
    reset.set_defaults(command=_reset)
    add_database(reset)


def _reset(options: argparse.Namespace) -> None:
    if options.database is None:
        raise SettingError("no database named; give --database URL or set KVMFAULTS_DATABASE")
    with closing(open_store(str(options.database), options.series)) as store:
        store.check_schema()
        now_ns, newest_ns = time.time_ns(), store.newest_received_ns()
        wrong = before_release(now_ns)
        if wrong:
            raise SettingError(wrong)
        print(f"the clock says {_text(now_ns)}; the newest batch was taken at {_text(newest_ns)}")
        for host in store.hosts():
            covered_to_ns = host.covered_to_ns or 0
            if covered_to_ns > now_ns + BEHIND_NS:
                print(
                    f"host {printable(host.name)} has counts up to {_text(covered_to_ns)}: its clock was "
                    "ahead as well. They stay, and its losses, events and costs of that time; "
                    "kvmfaults-server host remove removes them with all else of it"
                )
        if not options.yes:
            print("nothing is changed yet; --yes believes the clock")
            return
        changed = store.forget_later(now_ns)
        print(f"{changed} times that were later are now; batches are taken again")


def _text(time_ns: int) -> str:
    return f"{rfc3339_ns(time_ns)[:19]}Z"
