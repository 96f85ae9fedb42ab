# SPDX-License-Identifier: Apache-2.0
"""A guest that executes a page of a guest_memfd to which it has written.

On arm64 KVM of Linux 6.18 never lets it: the same fault comes again, until the process is killed.

python -m tests.emulated.looping
"""

import os

from demo import memory
from demo.guest import Guest
from demo.host import machine_for_host
from demo.layout import Layout
from demo.machine import Op, Touch

_BEHIND_THE_CODE = 64


def main() -> None:
    """Be the guest, to its end."""
    layout = Layout()
    region = layout.add_hole(1)
    with Guest(layout) as guest:
        fd = guest.attach_guest_memfd(region)
        code = memory.mapped(fd, region.pages)
        code.write(0, machine_for_host(()).landing)
        guest.touch(Touch(Op.WRITE, region.gpa + _BEHIND_THE_CODE, 1))
        guest.touch(region.touch(Op.EXECUTE))
        code.close()
        os.close(fd)


if __name__ == "__main__":
    main()
