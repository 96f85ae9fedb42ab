# SPDX-License-Identifier: Apache-2.0
"""What VMMs print: exits from KVM_RUN and their flags, and errors by number, name or text.

QEMU, kvmtool, crosvm, Cloud Hypervisor and Firecracker each have words of their own, and so has anyone's
program: Rust prints decimal numbers, C hexadecimal ones with 0x, and the order of the fields is the
program's.
"""

import re
from collections.abc import Iterator, Mapping
from re import Match

from faultmodel import exits
from faultmodel.named import ERRNO, EXIT_FLAGS, EXIT_REASON
from faultmodel.numbers import printed
from faultmodel.pasted.found import ADDRESS, CODE, NUMBER, Before, Patterns, Word, simple
from faultmodel.pasted.x86 import hardware_exit
from faultmodel.record import KVM_EXIT_MEMORY_FAULT

_VALUE = r"(0x[0-9a-f]{1,40}|[0-9a-f]{1,40}|(?:kvm_memory_exit_flag_)?private)\b"
# Rust's {:?} of flags puts the type around the value.
_FIELD = rf"\b(flags|gpa|size|start|len)\b\W{{1,4}}(?:\w{{1,40}}\()?{_VALUE}"
_FIELDS = re.compile(_FIELD, re.IGNORECASE)
_WITHOUT_BASE = re.compile(r"\d\d+")


def _memory_fault(match: Match[str], before: Before) -> Iterator[Word]:
    yield "memory fault", EXIT_REASON, KVM_EXIT_MEMORY_FAULT
    before.in_memory_fault = match[0].rstrip().endswith(("{", "(", "["))
    yield from _fields(_FIELDS.findall(match[0]))


def _field_below(match: Match[str], before: Before) -> Iterator[Word]:
    if before.in_memory_fault:
        yield from _fields([(match[1], match[2])])


def _end(match: Match[str], before: Before) -> Iterator[Word]:
    before.in_memory_fault = False
    yield from ()


def _fields(found: list[tuple[str, str]]) -> Iterator[Word]:
    numbers = {name.lower(): value.lower() for name, value in found}
    # A program prints its addresses and sizes alike: one with a letter shows the base of all.
    is_hex = any(re.fullmatch(r"\d*[a-f][0-9a-f]*", value) for value in numbers.values())
    for name, what, target in _OF_MEMORY_FAULT:
        if name not in numbers:
            continue
        text = numbers[name]
        if text.endswith("private"):
            yield f"memory fault {what}", target, exits.PRIVATE
            continue
        base = ""
        if _WITHOUT_BASE.fullmatch(text):
            base = ", read as hexadecimal" if is_hex else ", read as decimal"
        yield f"memory fault {what}{base}", target, int(text, 16) if is_hex else printed(text)


_OF_MEMORY_FAULT = (
    ("flags", "flags", EXIT_FLAGS),
    ("gpa", "gpa, guest-physical address", ADDRESS),
    ("start", "start, guest-physical address", ADDRESS),
    ("size", "size, bytes", CODE),
    ("len", "size, bytes", CODE),
)


def _exit_reason(match: Match[str], before: Before) -> Iterator[Word]:
    number = printed(match[1])
    if "guest_rip" in match.string:
        # trace-cmd's own form of kvm_exit, where it cannot print the kernel's.
        yield from hardware_exit("kvm_exit exit_reason", number)
    else:
        yield "exit reason", EXIT_REASON, number


def _errno(match: Match[str], before: Before) -> Iterator[Word]:
    yield "errno", ERRNO, exits.positive_errno(int(match[1]))


def _returned(match: Match[str], before: Before) -> Iterator[Word]:
    # -1 is what a system call returns whose error is in errno.
    if int(match[1]) > 1:
        yield "errno", ERRNO, int(match[1])


def _error_text(match: Match[str], before: Before) -> Iterator[Word]:
    number = exits.errno_named(re.split(r"\s*[(\[,;:]|\.?\s*$", match[1].strip(), maxsplit=1)[0])
    if number is not None:
        yield "KVM_RUN failed", ERRNO, number


def _named_reason(match: Match[str], before: Before) -> Iterator[Word]:
    number = _REASONS.get(match[0])
    if number is not None:
        yield match[0], EXIT_REASON, number


def _named_errno(match: Match[str], before: Before) -> Iterator[Word]:
    yield match[0], ERRNO, exits.errno_of(match[0])


_REASONS: Mapping[str, int] = {reason.name: number for number, reason in exits.EXIT_REASONS.items()}

PATTERNS: Patterns = (
    (r"kvm_run_exit cpu_index \d+, reason (\d{1,10})", simple("kvm_run_exit reason", EXIT_REASON, 10)),
    (r"(?i)memory[_ ]?fault\b.{0,160}?(?:\b(?:flags|gpa|start)\b.{0,160}|[({\[]\s*$)", _memory_fault),
    (rf"(?i)(?:^|\s){_FIELD}\W{{0,2}}\s*$", _field_below),
    (r"^[^\w]*[)}\]]", _end),
    (r"(?:KVM_RUN\)?|(?:kvm|vcpu)[ _]run)(?: failed)?:? ([A-Z].{3,80})", _error_text),
    (r"\(os error (\d{1,4})\)", simple("os error", ERRNO, 10)),
    (r"\bOs \{ code: (\d{1,4}), kind: ", simple("os error", ERRNO, 10)),
    (r"(?i)\berrno\b\s?[=:]?\s?-?(\d{1,10})\b", _errno),
    (r"(?i)\b(?:ret|returned|error|failed)\b(?: with)?\s?[=:]?\s?-(\d{1,3})\b", _returned),
    (rf"(?i)(?<!\()\bexit[_ ]reason\b[\s\"'=:(]{{1,4}}{NUMBER}", _exit_reason),
    (r"\bKVM_EXIT_[A-Z0-9_]{1,64}\b", _named_reason),
    (r"\b(?:EFAULT|EHWPOISON|EINTR|EAGAIN|ENOMEM|ENOSYS|EINVAL|EIO|EBUSY|ENOEXEC)\b", _named_errno),
)  # fmt: skip
