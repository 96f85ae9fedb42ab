# SPDX-License-Identifier: Apache-2.0
"""Runs in an emulated machine, or here: is a guest of the demo's or of ours, acts once, and prints the truth.

python -m tests.emulated.act SCENE COUNT
"""

import sys

from demo import cases, handler_cases
from demo.errors import DemoError
from demo.scene import Scene
from tests.emulated import poisoned

_SCENES = (cases, handler_cases, poisoned)


def main(name: str, count: int) -> None:
    """Act, where this kernel can run the guest; say why where it cannot."""
    try:
        scene: Scene = next(getattr(module, name) for module in _SCENES if hasattr(module, name))()
    except DemoError as error:
        sys.exit(str(error))
    scene.act(count)
    sys.stdout.write(f"{scene.truth(name).to_json()}\n")
    scene.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
