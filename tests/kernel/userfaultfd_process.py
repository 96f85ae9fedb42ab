# SPDX-License-Identifier: Apache-2.0
"""A process that is given a userfaultfd, reads what is asked of it, and answers none of it.

``python -m tests.kernel.userfaultfd_process FD``: writes a line once it has read a request.
"""

import os
import select
import sys

_MESSAGE_BYTES = 32


def main() -> None:
    """Read, and never answer."""
    fd = int(sys.argv[1])
    while True:
        select.select([fd], [], [])
        os.read(fd, _MESSAGE_BYTES)
        sys.stdout.write("read\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
