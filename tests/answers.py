# SPDX-License-Identifier: Apache-2.0
"""What the API answers about recorded data, whole: to compare commits, and databases.

    python -m tests.answers FOLDER [--database URL]    then, of two folders: diff -r

The data are those of two busy hosts, and recordings of each architecture; the clock stands still. A database
that already has them, for example one of an earlier release that was migrated, is asked as it is.
"""

import argparse
import json
import lzma
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from backend.store import open_store
from backend.store.sql.migrate import migrate
from collector.trace.recording import Options, Recording
from collector.trace.source import Source
from collector.trace.survey import survey
from faultmodel.wire import Batch
from tests.backend.serving import Server, make_server
from tests.browser.scene import history
from tests.pipeline.recordings import CAPTURES

END_S = 1_800_000_000
MINUTES = 25
_RECORDED = (
    "arm64-6.18.15-hostprot",
    "arm64-6.18.15-mmio",
    "riscv64-6.12.107-hostprot",
    "x86_64-6.18.15-gmem",
    "x86_64-6.12.107-npt0-mmio",
)
_SPAN = {"from": f"{(END_S - MINUTES * 60) * 1000}", "to": f"{END_S * 1000}"}
_SPANS: tuple[Mapping[str, str], ...] = (
    {},
    _SPAN,
    {**_SPAN, "step": "60s"},
    {"from": f"{END_S * 1000 - 421_000}", "to": f"{END_S * 1000 - 61_000}", "step": "3s"},
    {"from": "0", "to": f"{END_S * 1000}", "step": "7d"},
)
_METRICS = ("faults", "memory_fault_exits", "bare_error_exits", "unclassified_error_exits")
_BY = ("vm", "vcpu", "flag", "access", "level", "arch")
_EXITS_BY = ("vm", "vcpu", "arch")
_MOST_PAGES = 3
_NAMED = re.compile(r'"version": "[\w-]{8}-\d+"')
"""What a state of the counts is called: another name in each process."""
_UNNAMED = '"version": ""'


def batches(directory: Path) -> Iterator[Batch]:
    """Yield the data. ``directory``: for recordings, which are stored compressed."""
    yield from history(END_S, minutes=MINUTES)
    for name in _RECORDED:
        path = directory / f"{name}.txt"
        path.write_bytes(lzma.decompress((CAPTURES / f"{name}.trace.txt.xz").read_bytes()))
        options = Options(host=f"import/{name}", below="import", end_ns=END_S * 10**9)
        yield from Recording(survey(Source(f"{name}.txt", path)), options).batches()


def answers(server: Server) -> Iterator[tuple[str, str]]:
    """Yield questions, by a name that is a file's, and their answers."""
    server.clock.now_ns = END_S * 10**9
    vm_ids = sorted(vm["id"] for vm in server.get("/api/v1/vms", from_="0", limit=1000)["items"])
    for path, parameters in _questions(vm_ids):
        asked = "&".join(f"{name}={value}" for name, value in parameters.items())
        name = f"{path.removeprefix('/api/v1/').replace('/', '_')}?{asked}"
        # A second time: what is kept of the first must not make another answer.
        for _ in range(2):
            yield name, "\n".join(_pages(server, path, parameters))


def _pages(server: Server, path: str, parameters: Mapping[str, str]) -> Iterator[str]:
    cursor: str | None = ""
    for _ in range(_MOST_PAGES):
        further = {"cursor": cursor} if cursor else {}
        answer = server.request("GET", path, params={**parameters, **further})
        yield f"{answer.status_code}\n{_NAMED.sub(_UNNAMED, json.dumps(answer.json(), indent=1))}\n"
        cursor = answer.json().get("next_cursor")
        if not cursor:
            return


def _questions(vm_ids: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    for steps in _SPANS:
        span = {name: value for name, value in steps.items() if name != "step"}
        yield from ((f"/api/v1/{path}", steps) for path in ("ledger", "costs", "vms"))
        yield from ((f"/api/v1/{path}", {**span, "limit": "7"}) for path in ("exits", "host-events"))
        yield "/api/v1/ledger", {**steps, "most": "3"}
        yield "/api/v1/ledger", {**steps, "host": "hv-fra-01", "vms": "false"}
        yield "/api/v1/costs", {**steps, "host": "lab-intel"}
        listed = {**steps, "totals": "true", "trend": "20", "commands": "false", "limit": "5"}
        yield from (("/api/v1/vms", {**listed, "sort": sort}) for sort in ("name", "-faults", "-fault_rate"))
        for metric in _METRICS:
            for by in _BY if metric == "faults" else _EXITS_BY:
                asked = {**steps, "metric": metric, "by": by}
                yield "/api/v1/rates", {**asked, "most": "4"}
                yield "/api/v1/rates", {**asked, "arch": "arm64"}
                yield "/api/v1/rates", {**asked, "vm": vm_ids[0], "most": "3"}
        for vm_id in vm_ids:
            of_vm = f"/api/v1/vms/{vm_id}"
            yield of_vm, steps
            yield f"{of_vm}/flags", span
            yield from ((f"{of_vm}/{part}", {**span, "limit": "3"}) for part in ("syndromes", "faults"))
            yield f"{of_vm}/syndromes", span
            yield "/api/v1/exits", {**span, "vm": vm_id, "limit": "20"}
            yield "/api/v1/ledger", {**steps, "vm": vm_id}
    yield from ((f"/api/v1/{path}", {}) for path in ("status", "architectures", "vms/nothing"))
    yield "/api/v1/rates", {"step": "1"}


def main() -> None:
    """Write each answer to a file."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        url = options.database or f"sqlite:///{directory}/kvmfaults.db"
        migrate(url)
        with closing(open_store(url)) as store:
            server = make_server(store)
            server.clock.now_ns = END_S * 10**9
            for batch in batches(Path(directory)):
                store.apply(batch, server.clock())
            for name, text in answers(server):
                path = options.folder / re.sub(r"[^\w=&.-]", "_", name)
                assert not path.exists() or path.read_text() == text, f"{name} is answered otherwise now"
                path.write_text(text)


def _options() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="an empty one, which is made")
    parser.add_argument("--database", metavar="URL", help="(default: a new SQLite file)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
