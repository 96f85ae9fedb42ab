# SPDX-License-Identifier: Apache-2.0
"""Structures that bpf(2) and perf_event_open(2) take and fill.

Source: include/uapi/linux/bpf.h and perf_event.h (6.18). They are the kernel's stable interface, to which
fields are only ever added at the end. Each names the fields that are used here and those before them; the
kernel takes what is not there as 0.
"""

import ctypes
from ctypes import c_char, c_int32, c_uint32, c_uint64


class MapCreate(ctypes.Structure):
    """Of BPF_MAP_CREATE."""

    _fields_ = [
        ("kind", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("flags", c_uint32),
        ("inner_map_fd", c_uint32),
        ("numa_node", c_uint32),
        ("name", c_char * 16),
    ]


class MapElement(ctypes.Structure):
    """Of BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM and BPF_MAP_DELETE_ELEM. ``key``, ``value``: addresses."""

    _fields_ = [
        ("map_fd", c_uint32),
        ("pad", c_uint32),
        ("key", c_uint64),
        ("value", c_uint64),
        ("flags", c_uint64),
    ]


class MapBatch(ctypes.Structure):
    """Of BPF_MAP_LOOKUP_BATCH and BPF_MAP_UPDATE_BATCH. All but ``count`` and ``map_fd`` are addresses."""

    _fields_ = [
        ("in_batch", c_uint64),
        ("out_batch", c_uint64),
        ("keys", c_uint64),
        ("values", c_uint64),
        ("count", c_uint32),
        ("map_fd", c_uint32),
        ("elem_flags", c_uint64),
        ("flags", c_uint64),
    ]


class ProgramLoad(ctypes.Structure):
    """Of BPF_PROG_LOAD. ``instructions``, ``license``, ``log``: addresses."""

    _fields_ = [
        ("kind", c_uint32),
        ("instruction_count", c_uint32),
        ("instructions", c_uint64),
        ("license", c_uint64),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log", c_uint64),
        ("kernel_version", c_uint32),
        ("flags", c_uint32),
        ("name", c_char * 16),
        ("ifindex", c_uint32),
        ("expected_attach_type", c_uint32),
        ("btf_fd", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("func_info", c_uint64),
        ("func_info_count", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("line_info", c_uint64),
        ("line_info_count", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_btf_fd", c_uint32),
    ]


class RawTracepoint(ctypes.Structure):
    """Of BPF_RAW_TRACEPOINT_OPEN. ``name``: an address."""

    _fields_ = [("name", c_uint64), ("program_fd", c_uint32)]


class LinkCreate(ctypes.Structure):
    """Of BPF_LINK_CREATE."""

    _fields_ = [
        ("program_fd", c_uint32),
        ("target_fd", c_uint32),
        ("attach_type", c_uint32),
        ("flags", c_uint32),
    ]


class TestRun(ctypes.Structure):
    """Of BPF_PROG_TEST_RUN, which fills ``returned``. ``context``: an address."""

    _fields_ = [
        ("program_fd", c_uint32),
        ("returned", c_uint32),
        ("data_in_size", c_uint32),
        ("data_out_size", c_uint32),
        ("data_in", c_uint64),
        ("data_out", c_uint64),
        ("repeat", c_uint32),
        ("duration", c_uint32),
        ("context_size", c_uint32),
        ("context_out_size", c_uint32),
        ("context", c_uint64),
        ("context_out", c_uint64),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class TaskOfIterator(ctypes.Structure):
    """``union bpf_iter_link_info`` of an iterator over a process."""

    _fields_ = [("tid", c_uint32), ("pid", c_uint32), ("pid_fd", c_uint32), ("pad", c_uint32)]


class IteratorLink(ctypes.Structure):
    """Of BPF_LINK_CREATE, for an iterator. ``info``: an address."""

    _fields_ = [
        ("program_fd", c_uint32),
        ("target_fd", c_uint32),
        ("attach_type", c_uint32),
        ("flags", c_uint32),
        ("info", c_uint64),
        ("info_size", c_uint32),
    ]


class IteratorCreate(ctypes.Structure):
    """Of BPF_ITER_CREATE."""

    _fields_ = [("link_fd", c_uint32), ("flags", c_uint32)]


class Object(ctypes.Structure):
    """Of BPF_OBJ_PIN and BPF_OBJ_GET. ``path``: an address."""

    _fields_ = [("path", c_uint64), ("fd", c_uint32), ("flags", c_uint32)]


class Id(ctypes.Structure):
    """Of BPF_BTF_GET_NEXT_ID, which fills ``next``, and BPF_BTF_GET_FD_BY_ID."""

    _fields_ = [("start", c_uint32), ("next", c_uint32), ("open_flags", c_uint32)]


class InfoRequest(ctypes.Structure):
    """Of BPF_OBJ_GET_INFO_BY_FD. ``info``: an address."""

    _fields_ = [("fd", c_uint32), ("size", c_uint32), ("info", c_uint64)]


class EnableStats(ctypes.Structure):
    """Of BPF_ENABLE_STATS: the kind of statistics, 0 for run times."""

    _fields_ = [("kind", c_uint32)]


class MapInfo(ctypes.Structure):
    """``struct bpf_map_info``."""

    _fields_ = [
        ("kind", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("flags", c_uint32),
        ("name", c_char * 16),
    ]


class ProgramInfo(ctypes.Structure):
    """``struct bpf_prog_info``; what this kernel does not have stays 0."""

    _fields_ = [
        ("kind", c_uint32),
        ("id", c_uint32),
        ("before_run_time", c_char * 184),
        ("run_time_ns", c_uint64),
        ("run_count", c_uint64),
        ("recursion_misses", c_uint64),
    ]


class BtfInfo(ctypes.Structure):
    """``struct bpf_btf_info``. ``btf``, ``name``: addresses."""

    _fields_ = [
        ("btf", c_uint64),
        ("btf_size", c_uint32),
        ("id", c_uint32),
        ("name", c_uint64),
        ("name_size", c_uint32),
        ("is_kernel", c_uint32),
    ]


class PerfEvent(ctypes.Structure):
    """``struct perf_event_attr`` as it was first (PERF_ATTR_SIZE_VER0): all that is needed."""

    _fields_ = [
        ("kind", c_uint32),
        ("size", c_uint32),
        ("config", c_uint64),
        ("sample_period", c_uint64),
        ("sample_type", c_uint64),
        ("read_format", c_uint64),
        ("flags", c_uint64),
        ("wakeup_events", c_uint32),
        ("breakpoint_type", c_uint32),
        ("breakpoint_address", c_uint64),
    ]


class Instruction(ctypes.Structure):
    """``struct bpf_insn``; ``registers``: the source's in the upper half."""

    _fields_ = [
        ("opcode", ctypes.c_uint8),
        ("registers", ctypes.c_uint8),
        ("offset", ctypes.c_int16),
        ("immediate", c_int32),
    ]
