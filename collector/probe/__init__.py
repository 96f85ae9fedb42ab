# SPDX-License-Identifier: Apache-2.0
"""What this kernel needs of the BPF programs (``bpf/``, C), and the way to them and their maps.

``plan`` decides from BTF what to attach. ``headers`` and ``source`` give the compiler types and text,
``loader`` compiles in a process of its own, ``handles`` attaches; ``pinned`` opens what an earlier collector
left. ``layout`` names what is read of the maps, ``compiled`` says where it lies, ``views`` reads it.
``probes`` is what the reader sees of all this, and ``snapshot`` and ``instant`` have the values that it gets.
"""
