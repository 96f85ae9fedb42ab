# SPDX-License-Identifier: Apache-2.0
"""What is shown of command lines: no secret, and all else."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from collector.vms.identity.secrets import command_text

LINES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "command_lines.toml").read_text())[
    "command"
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])
def test_a_command_line_is_shown_without_its_secrets(line: dict[str, Any]) -> None:
    assert command_text(line["arguments"]) == line["shown"]
    assert "hunter2" not in line["shown"]


def test_a_long_command_is_cut_to_what_the_wire_carries() -> None:
    text = command_text(["qemu-kvm", "-name", "web", "-append", "x" * 100_000])
    assert (len(text), text[:18], text[-1]) == (1024, "qemu-kvm -name web", "…")


def test_a_password_longer_than_what_is_looked_at_is_left_out() -> None:
    for url in ("http://u:", "file=https://u:a/", "iscsi://u%"):
        text = command_text(["qemu-kvm", "-drive", url + "hunter2" * 2000 + "@host/", "-m", "1"])
        assert "hunt" not in text


def test_a_password_that_ends_where_no_more_is_shown_is_left_out() -> None:
    text = command_text(
        ["qemu-kvm", "-x", "y" * 1000, "-drive", "file=http://user:hunter2" + "z" * 40 + "@host/"]
    )
    assert "hunt" not in text


@pytest.mark.parametrize(
    "value",
    [
        *("[" * 250_000, "a-" * 125_000, "," * 250_000, "password" * 31_000, '"' * 250_000, "a_" * 125_000),
        *("://a:" * 50_000, "key=" * 60_000, "secret," + "data=" * 50_000, "a." * 125_000, "?a=&" * 60_000),
        *("Bearer " * 35_000, "io.systemd.credential:" * 11_000, "rbd:" + ":key=" * 50_000, " = " * 80_000),
        *("iscsi:x:" * 30_000, "iscsi://a%" * 25_000, "://a:b/" * 35_000, '"key":' * 40_000, "a:b@" * 60_000),
        *("exec:" * 50_000, "'\"" * 120_000, "x: " * 80_000, '{"' * 120_000, "password={" * 25_000),
        *("--key " * 40_000, "\\" * 250_000, '"password' + " " * 250_000, "[{" * 120_000 + "'key':["),
    ],
    ids=lambda value: value[:8],
)
def test_a_command_line_made_to_be_slow_is_read_quickly(value: str) -> None:
    began = time.process_time()
    for option in ("-x", "-append", "-fw_cfg"):
        command_text(["qemu-kvm", option, value])
    assert time.process_time() - began < 1
