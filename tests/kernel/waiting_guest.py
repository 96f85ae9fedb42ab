# SPDX-License-Identifier: Apache-2.0
"""A guest whose vCPU waits for pages of a userfaultfd, and does what the lines of its input say.

``touch`` touches the next page, ``provide`` provides it, ``close`` closes the userfaultfd. It ends with its
input.
"""

import sys
import threading

from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op
from demo.memory import PAGE
from demo.userfaultfd import Userfaultfd

_PAGES = 64


def main() -> None:
    """Do what they say."""
    layout = Layout()
    region = layout.add(memory.anonymous(_PAGES))
    host = region.require_memory()
    page = 0
    with Guest(layout, vcpus=1) as guest:
        guest.warm_up()
        host.discard()
        userfaultfd = Userfaultfd(host)
        for line in sys.stdin:
            if line == "touch\n":
                touch = region.touch(Op.WRITE, 1, first=page)
                threading.Thread(target=guest.touch, args=(touch,), daemon=True).start()
            elif line == "provide\n":
                userfaultfd.provide(host.address + page * PAGE)
                page += 1
            else:
                userfaultfd.close()
        userfaultfd.close()


if __name__ == "__main__":
    main()
