# SPDX-License-Identifier: Apache-2.0
"""The rules of alerts are judged, each round all of them of every VM and host."""

from pathlib import Path

from backend.errors import SettingError
from backend.query.alerts.judging import advanced, ends, judge
from backend.query.alerts.moment import Moment
from backend.query.alerts.rules_file import RulesFile
from backend.query.blocks import Blocks
from backend.store.contract.alerts import MOST_OPEN
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store

_MOST_CELLS = 250_000
"""Counts that are kept between rounds: 20 MB. 1,000 VMs with a past of a week have 50,000."""


class AlertsJob:
    """Judges the rules of a file, of the default ones alone where there is none. Of one thread."""

    def __init__(self, path: Path | None) -> None:
        """Read the rules. :raises SettingError: they cannot be read, or something in them is wrong"""
        self._file = RulesFile(path)
        self._blocks: Blocks | None = None

    def __call__(self, store: Store, claim: JobClaim) -> None:
        """Judge all rules, and store what becomes of each alert.

        :raises SettingError: the file has changed and is wrong, so that its former rules were judged; or more
            alerts would be open than there may be
        """
        if self._blocks is None:
            self._blocks = Blocks(store, most_cells=_MOST_CELLS)
        rules, problem = self._file.current()
        now_ns = claim.began_ns
        with store.snapshot():
            alerts = store.open_alerts()
            moment = Moment(store, self._blocks, rules, now_ns)
            judgement = judge(rules, moment, alerts)
            ended = ends(alerts, judgement, rules, moment, store)
        changes, left_out = advanced(alerts, judgement, ended, now_ns)
        store.change_alerts(changes, now_ns, claim)
        if problem:
            raise SettingError(f"{problem}; the rules of before are judged")
        if left_out:
            raise SettingError(
                f"{left_out:,} alerts more than {MOST_OPEN:,} at once are left out: mend the rules"
            )
