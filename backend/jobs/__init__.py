# SPDX-License-Identifier: Apache-2.0
"""What the server does without being asked: one runner, and these jobs."""

from backend.jobs.folding import fold_old
from backend.jobs.partitions import make_partitions
from backend.jobs.retention import remove_old
from backend.jobs.rollup import roll_up
from backend.jobs.runner import Job
from backend.jobs.sessions import forget_ended_sessions
from backend.jobs.sizes import measure_sizes
from backend.schedule import EVERY_S, WITHIN_S

_WORK = {
    "sessions": forget_ended_sessions,
    "rollup": roll_up,
    "retention": remove_old,
    "sizes": measure_sizes,
    "folding": fold_old,
    "partitions": make_partitions,
}
JOBS = tuple(
    Job(name=name, every_s=EVERY_S[name], within_s=WITHIN_S, work=work) for name, work in _WORK.items()
)
