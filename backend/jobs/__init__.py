# SPDX-License-Identifier: Apache-2.0
"""What the server does without being asked: one runner, and these jobs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from backend.jobs.alerts import AlertsJob
from backend.jobs.folding import fold_old
from backend.jobs.notices import NoticesJob
from backend.jobs.partitions import make_partitions
from backend.jobs.retention import remove_old
from backend.jobs.rollup import roll_up
from backend.jobs.runner import Job
from backend.jobs.sessions import forget_ended_sessions
from backend.jobs.sizes import measure_sizes
from backend.schedule import EVERY_S, WITHIN_S
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store


def jobs(
    give_way: Callable[[], object], rules: Path | None = None, alertmanagers: Sequence[str] = ()
) -> tuple[Job, ...]:
    """Return all jobs.

    :param give_way: waits, for a bounded time, while readers wait for answers
    :param rules: the file of the rules of alerts
    :param alertmanagers: the addresses of those that are sent alerts
    :raises SettingError: the file cannot be read, or something in it is wrong, or an address is none
    """
    work: Mapping[str, Callable[[Store, JobClaim], None]] = {
        "sessions": forget_ended_sessions,
        "rollup": partial(roll_up, give_way=give_way),
        "retention": remove_old,
        "sizes": measure_sizes,
        "folding": fold_old,
        "partitions": make_partitions,
        "alerts": AlertsJob(rules),
    }
    if alertmanagers:
        work = {**work, "notices": NoticesJob(alertmanagers)}
    return tuple(
        Job(name=name, every_s=EVERY_S[name], within_s=WITHIN_S, work=of_job) for name, of_job in work.items()
    )
