# SPDX-License-Identifier: Apache-2.0
"""Runs in an emulated machine, or here: is one of the demo's guests, acts once, and prints the truth.

python -m tests.emulated.act SCENE COUNT
"""

import sys

from demo import cases, handler_cases
from demo.errors import DemoError
from demo.scene import Scene


def main(name: str, count: int) -> None:
    """Act, where this kernel can run the guest; say why where it cannot."""
    try:
        scene: Scene = getattr(cases if hasattr(cases, name) else handler_cases, name)()
    except DemoError as error:
        sys.exit(str(error))
    scene.act(count)
    sys.stdout.write(f"{scene.truth(name).to_json()}\n")
    scene.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
