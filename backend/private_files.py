# SPDX-License-Identifier: Apache-2.0
"""Files with hosts' data, or with tokens: only their user can read them."""

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def close_to_others(*paths: Path) -> None:
    """Take from others the right to read files of this user's, where they are there and others have it."""
    for path in paths:
        try:
            found = path.stat()
            if found.st_uid != os.geteuid() or not found.st_mode & _OTHERS:
                continue
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
        except OSError:
            # It is not there, or cannot be changed; whoever opens it says so.
            continue
        logger.warning("file was open to others, closed path=%s mode=%o", path, stat.S_IMODE(found.st_mode))
