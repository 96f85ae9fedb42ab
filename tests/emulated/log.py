# SPDX-License-Identifier: Apache-2.0
"""What a collector said while it started."""

_INFO = " INFO collector.pipeline "


def steps_of(log: str) -> list[str]:
    """Return the first word of each line, '' of one that is no information.

    Without a compilation whose time ran out, as on a busy machine it may: the next has more time.
    """
    steps: list[str] = []
    for line in log.splitlines():
        if "not compiled within" in line and steps[-1:] == ["compiling"]:
            steps.pop()
        else:
            steps.append(line.partition(_INFO)[2].partition(" ")[0])
    return steps
