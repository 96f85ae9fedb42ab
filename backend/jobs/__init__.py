"""What the server does without being asked: one runner, and these jobs."""

from backend.jobs.runner import Job
from backend.jobs.sessions import forget_ended_sessions

JOBS = (Job(name="sessions", every_s=600, within_s=60, work=forget_ended_sessions),)
