"""The words in a line that somebody pasted: what they are, and what they say.

Read are the texts of ftrace, trace-cmd, perf and perf trace, of KVM's and QEMU's error messages (``KVM
internal error``, ``error: kvm run failed``), of the dumps of a VMCB and a VMCS in the kernel's log, and what
VMMs print of KVM_EXIT_MEMORY_FAULT. A text may have several lines that belong together: a ``kvm_exit`` tells
in which format the word of the ``kvm_page_fault`` after it is. A text that is a number alone is all that the
number may be.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from faultmodel import arch, bare, exits
from faultmodel.arch.arm64.codes import EXCEPTION_CLASSES
from faultmodel.arch.base import SyndromeFormat
from faultmodel.bare import ERRNO, EXIT_REASON
from faultmodel.record import U64_MAX

MAX_CHARACTERS = 16_384
MAX_FOUND = 64
_MAX_LINE = 2048
_HEX = r"(?:0x)?([0-9a-f]{1,16})\b"

EXIT_FLAGS, ADDRESS, CODE = "exit", "address", "code"


@dataclass(frozen=True, slots=True)
class Found:
    """A word of the text. ``where``: what gave it, as ``kvm_page_fault error_code``."""

    line: int
    """From 1."""
    where: str
    target: str
    """What it is: an architecture and format (``x86_64:ept``), or one of this module's names."""
    word: int
    summary: str
    syndrome: SyndromeFormat | None = None
    """How to decode it, where it is a hardware's word."""


@dataclass(slots=True)
class _Text:
    """What lines before told of those after them."""

    formats: tuple[str, ...] = ()
    suberror: int | None = None
    data: dict[int, int] = field(default_factory=dict)
    exit_code: int | None = None


def find(text: str) -> tuple[Found, ...]:
    """Return the words of a text, in order, each once: at most ``MAX_FOUND``.

    :param text: the first ``MAX_CHARACTERS`` are looked at
    :raises WordError: it is a number alone, of more than 64 bits
    """
    alone = text.strip()
    if bare.is_bare(alone):
        return tuple(_readings(alone))
    about = _Text()
    found: dict[tuple[object, ...], Found] = {}
    for number, line in enumerate(text[:MAX_CHARACTERS].replace("\u00a0", " ").splitlines(), 1):
        for item in _in_line(number, line[:_MAX_LINE], about):
            # Two patterns may know the same word.
            found.setdefault((item.line, item.target, item.word), item)
        if len(found) >= MAX_FOUND:
            break
    return tuple(found.values())[:MAX_FOUND]


def _readings(number: str) -> Iterator[Found]:
    for reading in bare.readings(number):
        base = reading.number.base or ("" if number.isdecimal() else "hexadecimal")
        where = f"read as {base}" if base else "a number"
        yield from _explained(1, where, reading.target, reading.number.value)


def _in_line(number: int, line: str, about: _Text) -> Iterator[Found]:
    for pattern, read in _PATTERNS:
        for match in pattern.finditer(line):
            for where, target, word in read(match, about):
                if 0 <= word <= U64_MAX:
                    yield from _explained(number, where, target, word)


def _explained(line: int, where: str, target: str, word: int) -> Iterator[Found]:
    match target:
        case "exit-reason":
            yield Found(line, where, target, word, _reason(word))
        case "errno":
            yield Found(line, where, target, word, f"{exits.errno_name(word)}: {exits.errno_meaning(word)}")
        case "exit":
            names = ", ".join(exits.flag_names(word)) or "none: the access was to shared memory"
            yield Found(line, where, target, word, f"flags of a memory-fault exit: {names}")
        case "address" | "code":
            yield Found(line, where, target, word, where)
        case _:
            name, _, format_name = target.partition(":")
            syndrome = arch.get(name).format_named(format_name)
            yield Found(line, where, target, word, syndrome.summary(word), syndrome)


def _reason(number: int) -> str:
    known = exits.EXIT_REASONS.get(number)
    return exits.reason_name(number) if known is None else f"{known.name}: {known.meaning}"


_Word = tuple[str, str, int]
_X86 = ("x86_64:ept", "x86_64:npf", "x86_64:pferr")
_FORMATS: Mapping[str, str] = {
    "EPT_VIOLATION": "x86_64:ept",
    "npf": "x86_64:npf",
    "EXIT_NPF": "x86_64:npf",
    "PF excp": "x86_64:pferr",
    "EXIT_EXCP_PF": "x86_64:pferr",
}
"""By the reason of ``kvm_exit``, as the kernel and libtraceevent name it."""
_FORMAT_BY_NUMBER: Mapping[int, str] = {48: "x86_64:ept", 0x400: "x86_64:npf", 0x4E: "x86_64:pferr"}
"""By the hardware's exit reason; VMX's and SVM's numbers for these do not overlap."""
_EXITS: Mapping[int, str] = {
    0: "EXCEPTION_NMI (VMX)",
    48: "EPT_VIOLATION (VMX)",
    49: "EPT_MISCONFIG (VMX): a page that KVM marked as MMIO, or damaged tables",
    0x4E: "exception 14, #PF (SVM)",
    0x7F: "SHUTDOWN (SVM)",
    0x400: "NPF, nested page fault (SVM)",
    0x403: "VMGEXIT (SVM)",
}
_PFERR_NAMES: Mapping[str, int] = {"P": 1, "W": 2, "U": 4, "RSVD": 8, "F": 16}
_SUBERRORS: Mapping[int, str] = {
    1: "EMULATION: KVM could not emulate an instruction",
    2: "SIMUL_EX: an exception while another was delivered",
    3: "DELIVERY_EV: a fault while an event was delivered to the guest",
    4: "UNEXPECTED_EXIT_REASON: an exit that KVM does not know",
}


def _hardware_exit(where: str, number: int) -> Iterator[_Word]:
    reason = number & 0xFFFF
    yield f"{where}: {_EXITS.get(reason, f'exit reason {reason:#x}')}", CODE, number


def _page_fault(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    address, word = int(match[1], 16), int(match[2], 16)
    yield from _fault(address, word, about)


def _page_fault_fields(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    yield from _fault(int(match[1], 0), int(match[2], 0), about)


def _fault(address: int, word: int, about: _Text) -> Iterator[_Word]:
    targets = about.formats or _likely(word)
    yield "kvm_page_fault address, guest-physical, or guest-virtual with shadow paging", ADDRESS, address
    for target in targets:
        yield "kvm_page_fault error_code", target, word


def _likely(word: int) -> tuple[str, ...]:
    formats = arch.get("x86_64").formats
    odd = {f"x86_64:{name}": len(item.decode(word).unknown_bits) for name, item in formats.items()}
    return tuple(sorted(_X86, key=odd.__getitem__))


def _kvm_exit(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    target = _FORMATS.get(match[1])
    about.formats = (target,) if target else ()
    if target and match[2]:
        yield f"kvm_exit info1, {match[1]}", target, int(match[2], 16)
        if target == "x86_64:npf" and match[3]:
            yield "kvm_exit info2, guest-physical address", ADDRESS, int(match[3], 16)


def _kvm_exit_fields(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    reason, target = int(match[1]), _FORMAT_BY_NUMBER.get(int(match[1]) & 0xFFFF)
    about.formats = (target,) if target else ()
    yield from _hardware_exit("kvm_exit exit_reason", reason)
    if target:
        yield "kvm_exit info1", target, int(match[2])


def _exception_class(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    number = int(match[1], 16)
    yield f"kvm_exit, exception class: {EXCEPTION_CLASSES.get(number, 'not known')}", CODE, number


def _fast_page_fault(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    # Source: Linux 7.3 arch/x86/kvm/mmu/mmutrace.h, kvm_mmu_trace_pferr_flags.
    word = 0
    for part in match[1].split("|"):
        if part not in _PFERR_NAMES and not re.fullmatch("0x[0-9a-f]{1,16}", part):
            return
        word |= _PFERR_NAMES[part] if part in _PFERR_NAMES else int(part, 16)
    yield "fast_page_fault error_code, in KVM's own form", "x86_64:npf", word


def _guest_fault(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    ipa, esr, far = (int(word, 16) for word in match.groups())
    yield "kvm_guest_fault ipa, intermediate physical address of the guest's page", ADDRESS, ipa
    yield "kvm_guest_fault hsr, ESR_EL2", "aarch64:esr_el2", esr
    yield "kvm_guest_fault hxfar, FAR_EL2", ADDRESS, far


def _userspace_exit(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    if match[1] in ("error", "restart"):
        yield "kvm_userspace_exit, errno of KVM_RUN; the exit reason is not shown", ERRNO, int(match[2])
    else:
        yield "kvm_userspace_exit reason", EXIT_REASON, int(match[2])


def _userspace_exit_fields(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    errno = int(match[2])
    yield "kvm_userspace_exit reason", EXIT_REASON, int(match[1])
    yield "kvm_userspace_exit errno", ERRNO, (1 << 32) - errno if errno >> 31 == 1 else abs(errno)


def _memory_fault(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    # Rust prints decimal, C prints hexadecimal with 0x; the order of the fields is the program's own.
    fields = dict(re.findall(r"\b(flags|gpa|size|start)\b\W{1,4}(0x[0-9a-f]+|\d+)", match[0], re.IGNORECASE))
    told = {name.lower(): int(value, 0) for name, value in fields.items()}
    yield "memory fault", EXIT_REASON, 39
    if "flags" in told:
        yield "memory fault flags", EXIT_FLAGS, told["flags"]
    for name in ("gpa", "start"):
        if name in told:
            yield f"memory fault {name}, guest-physical address", ADDRESS, told[name]
    if "size" in told:
        yield "memory fault size, bytes", CODE, told["size"]


def _suberror(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    about.suberror, about.data = int(match[1]), {}
    yield "KVM internal error", EXIT_REASON, 17
    yield f"suberror {_SUBERRORS.get(about.suberror, 'that is not known')}", CODE, about.suberror


def _extra_data(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    # Source: Linux 7.3 arch/x86/kvm/x86.c, kvm_prepare_event_vectoring_exit() and
    # prepare_emulation_failure_exit().
    place, word = int(match[1]), int(match[2], 16)
    about.data[place] = word
    first = {3: 1, 4: 0, 1: 3 if about.data.get(0, 0) & 1 else 1}.get(about.suberror or 0)
    if first is None or place < first:
        yield f"extra data[{place}]", CODE, word
    elif place == first:
        yield from _hardware_exit(f"extra data[{place}], exit reason", word)
    elif place == first + 1 and about.suberror != 4:
        target = _FORMAT_BY_NUMBER.get(about.data.get(first, -1) & 0xFFFF)
        yield f"extra data[{place}], info1", target or CODE, word
    elif place == 3 and about.suberror == 3:
        yield f"extra data[{place}], guest-physical address", ADDRESS, word
    else:
        yield f"extra data[{place}]", CODE, word


def _vmcs(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    reason, qualification = int(match[1], 16), int(match[2], 16)
    yield from _hardware_exit("VMCS reason", reason)
    yield "VMCS qualification", _FORMAT_BY_NUMBER.get(reason & 0xFFFF, CODE), qualification


def _exit_code(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    about.exit_code = int(match[1], 16)
    yield from _hardware_exit("VMCB exit_code", about.exit_code)


def _exit_info(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    word, code = int(match[2], 16), about.exit_code
    if match[1] == "1":
        target = _FORMAT_BY_NUMBER.get(code, CODE) if code is not None else "x86_64:npf"
        yield "VMCB exit_info1", target, word
    else:
        yield "VMCB exit_info2, of a nested page fault the guest-physical address", ADDRESS, word


def _failed(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    errno = exits.errno_named(match[1].strip())
    if errno is not None:
        yield "KVM_RUN failed", ERRNO, errno


def _simple(where: str, target: str, base: int = 16) -> Callable[[re.Match[str], _Text], Iterator[_Word]]:
    def read(match: re.Match[str], about: _Text) -> Iterator[_Word]:
        yield where, target, int(match[1], base)

    return read


def _named_reason(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    for number, reason in exits.EXIT_REASONS.items():
        if reason.name == match[0]:
            yield match[0], EXIT_REASON, number


def _named_errno(match: re.Match[str], about: _Text) -> Iterator[_Word]:
    yield match[0], ERRNO, exits.errno_of(match[0])


_NUMBER = r"(0x[0-9a-f]{1,16}|\d{1,20})\b"
# What lies between is bounded, so that no text takes long.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Text], Iterator[_Word]]], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (rf"kvm_(?:nested_vm)?exit: .{{0,60}}?\breason (.{{1,40}}?) (?=rip|info)(?:rip 0x[0-9a-f]+ ?)?"
         rf"(?:info1? {_HEX}(?: (?:info2 )?{_HEX})?)?", _kvm_exit),
        (r"kvm_exit\(exit_reason: (\d{1,10}),.{0,160}?\binfo1: (\d{1,20})\b", _kvm_exit_fields),
        (r"\bHSR_EC: 0x([0-9a-f]{1,4})\b", _exception_class),
        (r"fast_page_fault:.{0,160}?\berror_code (\S+) sptep", _fast_page_fault),
        (rf"kvm_page_fault:.{{0,160}}?\baddress {_HEX} error_code {_HEX}", _page_fault),
        (rf"kvm_page_fault\(.{{0,80}}?fault_address: {_NUMBER}, error_code: {_NUMBER}", _page_fault_fields),
        (rf"kvm_guest_fault:.{{0,160}}?\bipa {_HEX}, hsr {_HEX}, hxfar {_HEX}", _guest_fault),
        (r"\bSCAUSE:0x([0-9a-f]{1,16})\b", _simple("kvm_exit SCAUSE", "riscv64:scause")),
        (r"kvm_userspace_exit:\s*reason (\S+) \((\d{1,10})\)", _userspace_exit),
        (r"kvm_userspace_exit\(reason: (\d{1,10}), errno: (-?\d{1,10})\)", _userspace_exit_fields),
        (r"kvm_run_exit cpu_index \d+, reason (\d{1,10})", _simple("kvm_run_exit reason", EXIT_REASON, 10)),
        (r"(?i)memory_?fault\b.{0,160}?\b(?:flags|gpa|start)\b.{0,160}", _memory_fault),
        (r"KVM internal error\. Suberror: (\d{1,9})", _suberror),
        (r"extra data\[(\d{1,2})\]: (?:0x)?([0-9a-f]{1,16})\b", _extra_data),
        (r"\breason=([0-9a-f]{8}) qualification=([0-9a-f]{1,16})\b", _vmcs),
        (r"\bexit_code:\s+(?:0x)?([0-9a-f]{1,16})\b", _exit_code),
        (r"\bexit_info_?([12]):\s+(?:0x)?([0-9a-f]{1,16})\b", _exit_info),
        (r"kvm run failed (.+)", _failed),
        (r"\(os error (\d{1,4})\)", _simple("os error", ERRNO, 10)),
        (r"(?i)\b(?:errno[ =:]{1,2}-?|(?:ret|returned|error|failed)[ =:]{1,2}-)(\d{1,3})\b", _simple(
            "errno", ERRNO, 10)),
        (r"(?i)\besr(?:_el[12])?\b\s*[:=]?\s*(?:0x)([0-9a-f]{1,16})\b", _simple("ESR", "aarch64:esr_el2")),
        (r"#PF: error_code\(0x([0-9a-f]{1,16})\)", _simple("#PF error code", "x86_64:pferr")),
        (r"unexpected exit reason 0x([0-9a-f]{1,16})\b", lambda match, about: _hardware_exit(
            "unexpected exit reason", int(match[1], 16))),
        (r"(?i)(?<!\()\bexit[_ ]reason\W{1,3}(\d{1,10})\b", _simple("exit reason", EXIT_REASON, 10)),
        (r"\bKVM_EXIT_[A-Z0-9_]+\b", _named_reason),
        (r"\b(?:EFAULT|EHWPOISON|EINTR|EAGAIN|ENOMEM|ENOSYS|EINVAL|EIO|EBUSY|ENOEXEC)\b", _named_errno),
    )
)  # fmt: skip
