# SPDX-License-Identifier: Apache-2.0
"""An event's fields as perf trace prints them: ``(fault_address: 16384, error_code: 6)``.

Numbers are in decimal, and a field that is 0 is left out. Source: Linux 6.18 tools/perf/builtin-trace.c,
trace__fprintf_tp_fields(), and the option ``trace.show_zeros`` in tools/perf/Documentation/perf-config.txt.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

from faultmodel.numbers import printed

_FIELD = re.compile(r"\b(\w{1,64}): (-?\d{1,20}|0x[0-9a-f]{1,16})(?=[,)]|$)")


def fields(shown: str) -> Mapping[str, int]:
    """Return the fields of numbers by name; one that is left out reads as 0 and is not ``in`` them."""
    found: defaultdict[str, int] = defaultdict(int)
    for name, value in _FIELD.findall(shown):
        found[name] = printed(value)
    return found
