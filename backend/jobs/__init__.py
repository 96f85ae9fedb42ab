# SPDX-License-Identifier: Apache-2.0
"""What the server does without being asked: one runner, and these jobs."""

from backend.jobs.runner import Job
from backend.jobs.sessions import forget_ended_sessions
from backend.schedule import EVERY_S

JOBS = (Job(name="sessions", every_s=EVERY_S["sessions"], within_s=60, work=forget_ended_sessions),)
