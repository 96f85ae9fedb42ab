"""Where kernels and root file systems are kept."""

import os
from pathlib import Path

import pytest

from tests.product import TOP


@pytest.fixture(scope="session")
def kernels_folder() -> Path:
    """The folder of everything that is downloaded; what is there is used again."""
    return Path(os.environ.get("KVMFAULTS_KERNELS", TOP / ".kvmfaults" / "kernels"))
