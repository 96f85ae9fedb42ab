# SPDX-License-Identifier: Apache-2.0
"""Says how many of the mutants of ``script/test-mutants`` were killed, by file, and names the others."""

import json
import sys
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

_KILLED = ("killed", "timeout", "caught by type check")


def main(folder: Path) -> int:
    """Print the table and the survivors."""
    rows = []
    survivors = []
    for path in sorted(folder.rglob("*.py.meta")):
        statuses = {
            name: status_by_exit_code[code]
            for name, code in json.loads(path.read_text())["exit_code_by_key"].items()
        }
        if not statuses:
            continue
        rows.append((str(path.relative_to(folder)).removesuffix(".meta"), Counter(statuses.values())))
        survivors += [(name, status) for name, status in statuses.items() if status not in _KILLED]
    if not rows:
        print(f"{folder}: no mutants", file=sys.stderr)
        return 1
    rows.append(("all", sum((found for _, found in rows), Counter())))
    print("| file | mutants | killed | score |\n| --- | ---: | ---: | ---: |")
    for name, found in rows:
        killed = sum(found[status] for status in _KILLED)
        print(f"| {name} | {found.total()} | {killed} | {killed / found.total():.0%} |")
    print(f"\n{len(survivors)} were not killed; `mutmut show NAME` shows one:")
    for name, status in survivors:
        print(f"{status}: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
