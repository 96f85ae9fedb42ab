# SPDX-License-Identifier: Apache-2.0
"""The BPF programs (``bpf/``, C): compiling them for this kernel, attaching them, reading their maps.

``plan`` decides from BTF what to attach. ``headers`` and ``source`` give the compiler types and text.
``compiler`` makes ``bytecode`` of them, in a process of its own (``compiler_process``); ``bytecode_cache``
keeps it for the next start. ``loader`` loads it, and ``handles`` attaches it. ``loading`` does all of this in
turn.
``pinned`` opens what an earlier collector left. ``layout`` names the maps and fields that are read,
``compiled`` has their offsets, ``views`` reads them. ``probes`` is what the reader uses of all this;
``snapshot`` and ``instant`` have its values.
"""
