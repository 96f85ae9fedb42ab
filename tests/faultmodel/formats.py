# SPDX-License-Identifier: Apache-2.0
"""Every syndrome format of every registered architecture, for tests that hold for all."""

import pytest

from faultmodel.arch import architectures

FORMATS = [
    (f"{architecture.name}:{item.name}", item)
    for architecture in architectures().values()
    for item in architecture.formats.values()
]

each_format = pytest.mark.parametrize(
    "syndrome", [item for _, item in FORMATS], ids=[name for name, _ in FORMATS]
)
