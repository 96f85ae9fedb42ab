# SPDX-License-Identifier: Apache-2.0
"""What a scrape says, as tests compare it. Whether its form is right, Prometheus itself says."""

import re
from collections.abc import Mapping

Labels = Mapping[str, str]
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Scrape:
    """Samples of a scrape, by name."""

    def __init__(self, text: str) -> None:
        self.samples: list[tuple[str, Labels, float]] = []
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = _SAMPLE.fullmatch(line)
            assert match is not None, line
            labels = {name: _unescaped(value) for name, value in _LABEL.findall(match[2] or "")}
            self.samples.append((match[1], labels, float(match[3])))

    def values(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        """Return the samples of a name that have these labels among theirs."""
        return [
            (of, value)
            for found, of, value in self.samples
            if found == name and all(of.get(label) == text for label, text in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float:
        """Return the one sample of a name that has these labels among its own."""
        ((_, value),) = self.values(name, **labels)
        return value

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name that have these labels among theirs."""
        return sum(value for _, value in self.values(name, **labels))

    def of_vm(self, vm_id: str) -> list[str]:
        """Return the names of a VM's samples."""
        return [name for name, labels, _ in self.samples if labels.get("vm") == vm_id]


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda match: _ESCAPED[match[0]], text)
