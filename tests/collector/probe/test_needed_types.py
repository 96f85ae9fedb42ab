# SPDX-License-Identifier: Apache-2.0
"""What is picked from a kernel's types: all that a program needs, and not what it only points to."""

import pytest

from collector.probe.needed_types import needed_types

TYPES = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned int __u32;

typedef __u32 u32;

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

struct spinlock {
	u32 slock;
};

struct kvm;

struct kvm_vcpu {
	struct kvm *kvm;
	struct spinlock lock;
	struct {
		u32 inner;
	} arch;
};

struct kvm {
	u32 users;
};

typedef int (*walker_t)(struct kvm_vcpu *, u32);

struct unrelated {
	walker_t walk;
};

#endif
"""


def test_what_a_type_holds_by_value_comes_with_it() -> None:
    picked = needed_types(TYPES, ["kvm_vcpu"])
    assert "struct spinlock {" in picked
    assert picked.index("typedef unsigned int __u32;") < picked.index("typedef __u32 u32;")


def test_what_a_type_points_to_is_only_declared() -> None:
    picked = needed_types(TYPES, ["kvm_vcpu"])
    assert "struct kvm;" in picked
    assert "struct kvm {" not in picked


def test_what_nobody_names_is_left_out() -> None:
    picked = needed_types(TYPES, ["kvm_vcpu"])
    assert "unrelated" not in picked
    assert "BPF_ANY" not in picked


@pytest.mark.parametrize(
    ("word", "declaration"),
    [
        ("BPF_NOEXIST", "BPF_NOEXIST = 1,"),
        ("walker_t", "typedef int (*walker_t)"),
        ("unrelated", "typedef int (*walker_t)"),
        ("kvm", "u32 users;"),
    ],
)
def test_a_constant_a_function_type_and_a_struct_are_found_by_name(word: str, declaration: str) -> None:
    assert declaration in needed_types(TYPES, [word])


def test_preprocessor_lines_are_of_the_whole_file() -> None:
    assert "#ifndef" not in needed_types(TYPES, ["kvm_vcpu", "BPF_ANY"])
