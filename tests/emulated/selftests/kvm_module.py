# SPDX-License-Identifier: Apache-2.0
"""KVM's modules built for a stock kernel of Debian's, of its own source and with its own configuration.

But for one option, that no Debian kernel has: KVM_SW_PROTECTED_VM, under which a VM that no hardware protects
has private memory.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.emulated import initramfs
from tests.emulated.archive import ArchiveError
from tests.emulated.kernels import Kernel
from tests.emulated.selftests.workshop import Workshop

_BUILT = {"kvm": "kvm.ko", "kvm_amd": "kvm-amd.ko"}


def with_protected_vms(kernel: Kernel, workshop: Workshop, folder: Path) -> Kernel:
    """Return the kernel with such modules, built now unless the folder has them.

    :param workshop: with this kernel's headers
    :raises ArchiveError: they cannot be built, or Debian's source is of another kernel
    """
    place = folder / workshop.named("kvm-protected")
    if not place.is_file():
        source = f"/usr/src/linux-headers-{workshop.release}"
        common = source.removesuffix("-amd64") + "-common"
        if not workshop.is_source_of(kernel.release):
            raise ArchiveError(f"Debian's newest kernel source is not that of {kernel.release}")
        workshop.run(
            f"cp -r /src/virt {common}/; cp -r /src/arch/x86/kvm {common}/arch/x86/;"
            f" make -s -j$(nproc) -C {source} M={common}/arch/x86/kvm CONFIG_KVM_INTEL="
            f" KCFLAGS=-DCONFIG_KVM_SW_PROTECTED_VM=1 modules;"
            f" cd {common}/arch/x86/kvm; strip --strip-debug {' '.join(_BUILT.values())}"
        )
        built = workshop.root / common[1:] / "arch/x86/kvm"
        files = {f"modules/{name}.ko": (built / file).read_bytes() for name, file in _BUILT.items()}
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as unfinished:
            # What comes later in an initial RAM file system replaces what came before.
            unfinished.write(kernel.modules.read_bytes() + initramfs.pack(files))
        shutil.move(unfinished.name, place)
    return replace(kernel, modules=place)
