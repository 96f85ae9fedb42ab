# SPDX-License-Identifier: Apache-2.0
"""What the kernel prints on every architecture, on arm64 and on riscv.

Source: Linux 7.3 include/trace/events/kvm.h, arch/arm64/kvm/trace_arm.h, arch/riscv/kvm/trace.h
and vcpu_exit.c.
"""

from collections.abc import Iterator
from re import Match

from faultmodel.arch.arm64.codes import EXCEPTION_CLASSES
from faultmodel.arch.arm64.layout import exception_class
from faultmodel.exits import positive_errno
from faultmodel.named import ERRNO, EXIT_REASON
from faultmodel.pasted.found import ADDRESS, CODE, HEX, Before, Patterns, Word, simple
from faultmodel.perf_fields import fields

_ESR_EL2 = "aarch64:esr_el2"


def _userspace_exit(match: Match[str], before: Before) -> Iterator[Word]:
    number = int(match[2])
    if match[1] in ("error", "restart"):
        errno = positive_errno(number)
        yield "kvm_userspace_exit, errno of KVM_RUN; the exit reason is not shown", ERRNO, errno
    else:
        yield "kvm_userspace_exit reason", EXIT_REASON, number


def _userspace_exit_fields(match: Match[str], before: Before) -> Iterator[Word]:
    found = fields(match[1])
    yield "kvm_userspace_exit reason", EXIT_REASON, found["reason"]
    if "errno" in found:
        yield "kvm_userspace_exit errno", ERRNO, positive_errno(found["errno"])


def _guest_fault(match: Match[str], before: Before) -> Iterator[Word]:
    ipa, esr, far = (int(word, 16) for word in match.groups())
    yield from _abort(ipa, esr, far)


def _guest_fault_fields(match: Match[str], before: Before) -> Iterator[Word]:
    found = fields(match[1])
    yield from _abort(found["ipa"], found["hsr"], found["hxfar"])


def _abort(ipa: int, esr: int, far: int) -> Iterator[Word]:
    yield "kvm_guest_fault ipa, intermediate physical address of the guest's page", ADDRESS, ipa
    yield "kvm_guest_fault hsr, ESR_EL2", _ESR_EL2, esr
    yield "kvm_guest_fault hxfar, FAR_EL2", ADDRESS, far


def _class(number: int) -> str:
    return f"exception class: {EXCEPTION_CLASSES.get(number, 'not known')}"


def _exception_class(match: Match[str], before: Before) -> Iterator[Word]:
    number = int(match[1], 16)
    yield f"kvm_exit, {_class(number)}", CODE, number


def _esr(match: Match[str], before: Before) -> Iterator[Word]:
    register, esr = match[1].upper(), int(match[2], 16)
    if register == "ESR_EL2" or (register == "ESR" and "kvm" in match.string.lower()):
        yield register, _ESR_EL2, esr
    else:
        what = f"{_class(exception_class(esr))}; a kernel's own exception, not a stage-2 abort"
        yield f"{register}, {what}", CODE, esr


PATTERNS: Patterns = (
    (r"kvm_userspace_exit:\s*reason (\S+) \((\d{1,10})\)", _userspace_exit),
    (r"\bkvm_userspace_exit\(([^()]{1,400})\)", _userspace_exit_fields),
    (rf"kvm_guest_fault:.{{0,160}}?\bipa {HEX}, hsr {HEX}, hxfar {HEX}", _guest_fault),
    (r"\bkvm_guest_fault\(([^()]{1,400})\)", _guest_fault_fields),
    (r"\b(?:HSR|ESR)_EC: 0x([0-9a-fA-F]{1,4})\b", _exception_class),
    (r"(?i)\b(esr(?:_el[12x])?)\b\s*[:=]?\s*0x([0-9a-f]{1,16})\b", _esr),
    (r"\bSCAUSE:0x([0-9a-fA-F]{1,16})\b", simple("kvm_exit SCAUSE", "riscv64:scause")),
    (r"\bSCAUSE=0x([0-9a-fA-F]{1,16})\b", simple("SCAUSE", "riscv64:scause")),
)  # fmt: skip
