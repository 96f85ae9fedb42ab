# SPDX-License-Identifier: Apache-2.0
"""A guest that waits for a line before it writes to all of its memory, a file on a disk.

    python -m tests.kernel.limited_guest [FILE]

It prints a line when it waits, and one when it has written. Without a file its memory is anonymous: it is
filled when the first line comes, and the guest writes to it when the second does.
"""

import os
import sys

from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op

PAGES = 16_384
TIMES = 2


def main() -> None:
    """Run the guest."""
    layout = Layout()
    region = layout.add(_on_disk(sys.argv[1]) if sys.argv[1:] else memory.anonymous(PAGES))
    with Guest(layout) as guest:
        guest.warm_up()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if not sys.argv[1:]:
            # A page of zeros would not be written to swap.
            region.require_memory().write(0, b"\xff" * PAGES * memory.PAGE)
            sys.stdout.write("filled\n")
            sys.stdout.flush()
            sys.stdin.readline()
        for _ in range(TIMES):
            guest.touch(region.touch(Op.WRITE, PAGES))
        sys.stdout.write("done\n")
        sys.stdout.flush()
        sys.stdin.readline()


def _on_disk(path: str) -> memory.HostMemory:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.ftruncate(fd, PAGES * memory.PAGE)
    return memory.mapped(fd, PAGES)


if __name__ == "__main__":
    main()
