# SPDX-License-Identifier: Apache-2.0
"""What the server noticed about this host, as its receipts say."""

from collections.abc import Mapping

from collector.counting.checks import Finding
from collector.spool.state import HostFinding
from faultmodel.kinds import CheckState as State

# The codes are those of /api/v1/status; a test holds that each has its text.
_TEXTS: Mapping[str, tuple[str, str]] = {
    "counted_twice": (
        "two collectors count on this machine under one name: each fault is stored twice",
        "stop one of them",
    ),
    "two_names": (
        "this machine is counted under two names at once ({hosts}): its VMs are stored twice",
        "stop one of its collectors",
    ),
    "two_machines": (
        "two machines go by this name",
        "give one of them another name: kvmfaults-collector run --host NAME",
    ),
    "renamed": (
        "this machine goes by another name than before ({hosts}); what it counted then is under the old one",
        "",
    ),
    "clock_ahead": (
        "this machine's clock is ahead of the server's by {seconds:.0f} s",
        "set it by NTP; times are set back until then",
    ),
    "clock_behind": (
        "this machine's clock is behind the server's by {seconds:.0f} s",
        "set by NTP whichever of the two is wrong",
    ),
    "refused": (
        "the server refused batches: {detail}",
        "look at `delivery`, and at the server's status",
    ),
}


def server_finding(noticed: tuple[HostFinding, ...]) -> Finding:
    """Return what the server noticed, as one point of the doctor's."""
    current = [one for one in noticed if one.is_current]
    if current:
        found = "; ".join(_text(one) for one in current)
        remedies = dict.fromkeys(filter(None, (_remedy(one) for one in current)))
        state = State.LACKING if remedies else State.OK
        return Finding("server", state, f"it noticed: {found}", "; ".join(remedies))
    if noticed:
        earlier = "; ".join(f"{_text(one)} (last {one.last})" for one in noticed)
        return Finding("server", State.OK, f"it noticed earlier: {earlier}")
    return Finding("server", State.OK, "it noticed nothing wrong with this host")


def _text(one: HostFinding) -> str:
    text, _ = _TEXTS.get(one.code, ("{code} {detail}", ""))
    return text.format(code=one.code, hosts=", ".join(one.hosts), seconds=one.seconds or 0, detail=one.detail)


def _remedy(one: HostFinding) -> str:
    return _TEXTS.get(one.code, ("", ""))[1]
