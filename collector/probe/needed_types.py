# SPDX-License-Identifier: Apache-2.0
"""Picks from a kernel's types, as C, those that a program needs: the compiler is done in half the time.

What is needed is what the program names, and whatever that holds by value; of what it only points to, a
declaration is enough.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

COMPILER_WORDS = [
    "bpf_raw_tracepoint_args",
    "pt_regs",
    "bool",
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "__u8",
    "__u16",
    "__u32",
    "__u64",
    "__s32",
    "__s64",
    "size_t",
    "__be16",
    "__be32",
    "__wsum",
    "__sum16",
    "bpf_map_type",
    "bpf_func_id",
    "task_struct",
    "btf_ptr",
    "bpf_pidns_info",
    "bpf_perf_event_value",
    "sk_buff",
    "__sk_buff",
    "xdp_md",
    "bpf_fib_lookup",
    "bpf_sock_tuple",
    "bpf_stack_build_id",
    "uintptr_t",
    "BPF_F_CURRENT_CPU",
    "BPF_ANY",
    "BPF_NOEXIST",
    "BPF_EXIST",
]
"""What BCC's own headers name of a kernel's types (0.26)."""

_TAGGED = re.compile(r"(struct|union|enum) (\w+) \{")
_MENTIONED = re.compile(r"\b(struct|union) (\w+)")
_HELD = re.compile(r"\b((?:struct|union|enum) \w+)\b(?! *[*{])")
_CONSTANT = re.compile(r"^\t(\w+)", re.MULTILINE)
_WORD = re.compile(r"\b[A-Za-z_]\w*")
_TYPEDEF = (
    re.compile(r"\(\*(\w+)\)\("),  # a pointer to a function
    re.compile(r"\b(\w+)\("),  # a function
    re.compile(r"\b(\w+)(?:\[\w*\])*(?: __attribute__\(.*\))?;$"),
)


def needed_types(types: str, words: Iterable[str]) -> str:
    """Return the part of ``types`` that a program needs.

    :param types: what ``bpftool btf dump ... format c`` prints; nothing is used before it is declared
    :param words: every identifier of the program
    """
    blocks = list(_blocks(types))
    declaring: dict[str, list[int]] = defaultdict(list)
    for index, block in enumerate(blocks):
        for name in _declared(block):
            declaring[name].append(index)
    wanted = {name for word in words for name in (word, f"struct {word}", f"union {word}", f"enum {word}")}
    kept: set[int] = set()
    while wanted:
        new = {index for name in wanted for index in declaring.get(name, ())} - kept
        kept |= new
        wanted = {name for index in new for name in _needs(blocks[index])}
    text = "\n\n".join(blocks[index] for index in sorted(kept))
    forward = sorted({f"{kind} {name};" for kind, name in _MENTIONED.findall(text)})
    return "#pragma once\n" + "\n".join(forward) + "\n\n" + text + "\n"


def words_of(program: str) -> set[str]:
    """Return every identifier in a program."""
    return set(_WORD.findall(program))


def _blocks(types: str) -> Iterator[str]:
    """Every top-level declaration; preprocessor lines are of the whole file."""
    lines: list[str] = []
    for line in types.splitlines():
        if line.startswith("#") or not (line or lines):
            continue
        lines.append(line)
        if line.endswith(";") and not line[0].isspace():
            yield "\n".join(lines)
            lines = []


def _declared(block: str) -> list[str]:
    first, _, _ = block.partition("\n")
    if first.startswith("typedef"):
        _, _, last = block.rpartition("\n")
        patterns = _TYPEDEF if first == last else _TYPEDEF[2:]
        return next(([found[1]] for pattern in patterns if (found := pattern.search(last))), [])
    tagged = _TAGGED.match(first)
    names = [f"{tagged[1]} {tagged[2]}"] if tagged else []
    return names + _CONSTANT.findall(block) if first.startswith("enum") else names


def _needs(block: str) -> list[str]:
    return _HELD.findall(block) + _WORD.findall(block)
