# SPDX-License-Identifier: Apache-2.0
"""The kernel's own KVM selftests about memory: how they are built, and with what arguments they are run."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.emulated.archive import ArchiveError
from tests.emulated.selftests.workshop import Workshop

X86, ARM64 = "x86_64", "aarch64"


@dataclass(frozen=True, slots=True)
class Program:
    """A run of a program.

    ``seconds`` is after how long it is ended, if it does not end by itself: what it did until then counts.
    ``private`` programs need a KVM with SW_PROTECTED_VM, and only they run there. ``huge_pages`` of 2 MiB are
    set aside for it.
    """

    name: str
    arguments: tuple[str, ...]
    architectures: tuple[str, ...]
    seconds: int
    private: bool
    huge_pages: int

    @property
    def title(self) -> str:
        """As one would type it."""
        return " ".join((self.name, *self.arguments))

    def runs_in(self, architecture: str, *, protected: bool) -> bool:
        """Return whether it is run in such a kernel."""
        return architecture in self.architectures and protected == self.private


def _run(
    line: str, *architectures: str, seconds: int = 600, private: bool = False, huge_pages: int = 0
) -> Program:
    name, *arguments = line.split()
    return Program(name, tuple(arguments), architectures or (X86, ARM64), seconds, private, huge_pages)


PROGRAMS = (
    # The same 64 MiB whatever the number of vCPUs, on two processors.
    _run("dirty_log_perf_test -i 2 -b 64M -v 1"),
    _run("dirty_log_perf_test -i 2 -b 32M -v 2"),
    _run("dirty_log_perf_test -i 2 -b 16M -v 4"),
    _run("dirty_log_perf_test -i 2 -b 8M -v 8"),
    _run("dirty_log_test -I 3 -i 100 -M dirty-log"),
    _run("dirty_log_test -I 3 -i 100 -M clear-log"),
    _run("dirty_log_test -I 3 -i 100 -M dirty-ring"),
    _run("demand_paging_test -b 16M -v 4"),
    _run("demand_paging_test -b 4M -v 2 -u MISSING -s shmem"),
    _run("demand_paging_test -b 4M -v 2 -u MINOR -s shmem"),
    _run("kvm_page_table_test -b 64M -v 4"),
    _run("access_tracking_perf_test -b 16M -v 4"),
    _run("memslot_modification_stress_test -b 16M -v 4 -i 50"),
    _run("memslot_perf_test -s 64 -l 1"),
    _run("mmu_stress_test -c 2 -m 1 -s 1", seconds=1200),
    # On arm64 it only adds and removes memory, and runs no guest.
    _run("set_memory_region_test", X86),
    _run("coalesced_io_test"),
    _run("guest_memfd_test"),
    _run("pre_fault_memory_test", X86),
    _run("x86/dirty_log_page_splitting_test -b 64M", X86, huge_pages=80),
    _run("x86/nested_dirty_log_test", X86),
    _run("x86/nested_tdp_fault_test", X86),
    _run("x86/private_mem_kvm_exits_test", X86, private=True),
    _run("x86/private_mem_conversions_test -n 1", X86, private=True),
    _run("x86/private_mem_conversions_test -n 4 -m 2", X86, private=True),
    _run("pre_fault_memory_test", X86, private=True),
    _run("set_memory_region_test", X86, private=True),
    _run("arm64/page_fault_test", ARM64, seconds=1800),
    _run("arm64/mmio_sign_ext", ARM64),
    _run("arm64/external_aborts", ARM64),
    _run("arm64/stage2_block_transitions", ARM64),
)

_LIBRARY = "tools/testing/selftests/kvm"
_RUN = re.compile(r"(static inline int __vcpu_run\(struct kvm_vcpu \*vcpu\)\n\{\n)(.*?)(?=\n\}\n)", re.DOTALL)
_REPORTING_RUN = r"""	int failed = __vcpu_ioctl(vcpu, KVM_RUN, NULL), why = errno;

	/* The one change to these programs: each failure is written to descriptor 3, as this VMM sees it. */
	if (failed && (why == EFAULT || why == EHWPOISON))
		dprintf(3, "%u %u %d %llx %llx %llx\n", vcpu->id, vcpu->run->exit_reason, why,
			(unsigned long long)vcpu->run->memory_fault.gpa,
			(unsigned long long)vcpu->run->memory_fault.size,
			(unsigned long long)vcpu->run->memory_fault.flags);
	errno = why;
	return failed;"""
_MAKE = {
    # Without the library for VFIO, which none of these needs.
    X86: ("x86", "CC=gcc-14 LIBVFIO_O= LDLIBS=-ldl"),
    ARM64: ("arm64", "CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-14"),
}


def ensure_programs(workshop: Workshop, folder: Path, architecture: str) -> Path:
    """Return the folder with the programs of an architecture, built now unless it is there.

    :raises ArchiveError: they cannot be built
    """
    names = sorted({program.name for program in PROGRAMS if architecture in program.architectures})
    place = folder / workshop.named(f"selftests-{architecture}", names, _REPORTING_RUN)
    if not place.is_dir():
        _report_failures(workshop)
        kernel_name, make = _MAKE[architecture]
        headers, built = f"/headers-{kernel_name}", f"/built-{kernel_name}"
        targets = " ".join(f"{built}/{name}" for name in names)
        common = f"ARCH={kernel_name} HOSTCC=gcc-14 INSTALL_HDR_PATH={headers}"
        workshop.run(
            f"make -s -C /src {common} headers_install;"
            f" make -s -j$(nproc) -C /src/{_LIBRARY} {common} {make} OUTPUT={built}"
            f" KHDR_INCLUDES='-isystem {headers}/include' EXTRA_CFLAGS=-static {targets}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="copying-") as name:
            ready = Path(name) / "ready"
            for program in names:
                (ready / program).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(workshop.root / built[1:] / program, ready / program)
            ready.rename(place)
    return place


def _report_failures(workshop: Workshop) -> None:
    header = workshop.source / _LIBRARY / "include/kvm_util.h"
    header.write_text(reporting_failures(header.read_text()))


def reporting_failures(header: str) -> str:
    """Return kvm_util.h with a KVM_RUN that writes its failures, in place of whatever one it has.

    :raises ArchiveError: it has no such function
    """
    changed, found = _RUN.subn(lambda function: function[1] + _REPORTING_RUN, header)
    if found != 1:
        raise ArchiveError("kvm_util.h: __vcpu_run is not as it was")
    return changed
