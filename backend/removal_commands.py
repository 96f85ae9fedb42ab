# SPDX-License-Identifier: Apache-2.0
"""The commands that list hosts, and find and remove what is stored of hosts, VMs and tokens."""

import argparse
import re
import time
from collections.abc import Callable
from contextlib import closing

from backend.errors import SettingError
from backend.query.findings import Code, find
from backend.store import open_store
from backend.store.contract.hosts import Contents
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.times import rfc3339_ns
from faultmodel.text import printable

_PREFIX = re.compile("[0-9a-f]{4,64}")


def add_parsers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    tokens: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_database: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands.

    :param tokens: the actions of the command ``token``
    """
    hosts = commands.add_parser("host", help="list and remove hosts")
    actions = hosts.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every host, and what is wrong with how it is traced")
    listing.set_defaults(command=_list_hosts)
    remove = actions.add_parser("remove", help="remove a host and everything that is stored of it")
    remove.add_argument("name", metavar="NAME", help="as the list has it")
    remove.set_defaults(command=_remove_host)
    vms = commands.add_parser("vm", help="remove VMs")
    actions = vms.add_subparsers(required=True, metavar="ACTION")
    remove_vm = actions.add_parser("remove", help="remove a VM and everything that is stored of it")
    remove_vm.add_argument("id", metavar="ID", help="as the API and the page show it")
    remove_vm.set_defaults(command=_remove_vm)
    brought = tokens.add_parser("brought", help="what came by a token, also by one that was revoked")
    brought.set_defaults(command=_show_brought)
    remove_brought = tokens.add_parser("remove-brought", help="remove what came by a token alone")
    remove_brought.set_defaults(command=_remove_brought)
    for parser in (brought, remove_brought):
        parser.add_argument("--id", metavar="ID", required=True, help="the token's, as the list has it")
    for parser in (remove, remove_vm, remove_brought):
        parser.add_argument("--yes", action="store_true", help="do it; without, only say what would go")
    for parser in (listing, remove, remove_vm, brought, remove_brought):
        add_database(parser)


def _opened(options: argparse.Namespace) -> "closing[Store]":
    if options.database is None:
        raise SettingError("no database named; give --database URL or set KVMFAULTS_DATABASE")
    store = open_store(str(options.database), options.series)
    store.check_schema()
    return closing(store)


def _list_hosts(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        for host in store.hosts():
            contents = store.contents(host.name)
            vms = _counted(contents.vms, "VM", "VMs")
            faults = _counted(contents.faults, "fault", "faults")
            state = f"{host.state:<8}  {vms:>10}  {faults:>21}"
            print(f"{printable(host.name)}  {state}  last batch {rfc3339_ns(host.last_batch_ns)[:19]}Z")
        for item in find(store, time.time_ns()):
            if item.code is Code.SERVER_CLOCK:
                print(f"! {item.code.value}: {item.detail}")
                continue
            if item.code is Code.JOB_FAILED:
                print(f"! {item.code.value}: {item.job}: {printable(item.detail)}")
                continue
            names = ", ".join(printable(name) for name in item.hosts) or "unknown sender"
            since = "" if item.since_ns is None else f" since {rfc3339_ns(item.since_ns)[:19]}Z"
            reason = f" ({item.reason.value}, {item.times} times)" if item.reason else ""
            over = "" if item.is_current else ", no longer"
            print(f"! {item.code.value}: {names}{reason}{since}{over}")


def _remove_host(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        before = store.contents(options.name)
        print(f"host {printable(options.name)}: {_words(before)}")
        if _is_asked_for(options):
            store.remove_host(options.name)
            print(f"removed; there are left: {_words(store.contents(None), hosts=True)}")
            _tell_of_tokens(store, options.name)


def _remove_vm(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        vm = store.vm(options.id, TimeRange())
        faults = store.vm_faults(options.id)
        name = printable(vm.name) or "no name"
        print(f"VM {vm.id} ({name}) of host {printable(vm.host)}: {faults:,} faults")
        if _is_asked_for(options):
            store.remove_vm(options.id)
            print(f"removed; there are left: {_words(store.contents(None), hosts=True)}")
            if vm.ended_ns is None:
                print(
                    "if it runs and is traced still, it comes again; what was removed then counts as missing"
                )


def _show_brought(options: argparse.Namespace) -> None:
    with _opened(options) as store:
        token = _token(store, options.id)
        found = store.brought(token)
        print(f"token {token[:12]} alone brought:")
        for name in found.hosts:
            print(f"  host {printable(name)}: {_words(store.contents(name))}")
        for vm_id in found.vms:
            print(f"  VM {vm_id}: {store.vm_faults(vm_id):,} faults")
        for name in found.shared_hosts:
            print(f"others brought some of: host {printable(name)}")
        for vm_id in found.shared_vms:
            print(f"others brought some of: VM {vm_id} ({store.vm_faults(vm_id):,} faults)")


def _remove_brought(options: argparse.Namespace) -> None:
    _show_brought(options)
    with _opened(options) as store:
        if not _is_asked_for(options):
            return
        token = _token(store, options.id)
        found = store.brought(token)
        for name in found.hosts:
            store.remove_host(name)
        left = set(store.brought(token).vms) & set(found.vms)
        for vm_id in sorted(left):
            store.remove_vm(vm_id)
        print(f"removed; there are left: {_words(store.contents(None), hosts=True)}")
        if found.shared_vms:
            print("counts of different tokens are summed in one VM: what others brought some of is kept")
        if any(known.sha256 == token for known in store.tokens()):
            print(f"the token is still good: kvmfaults-server token revoke --id {token[:12]}")


def _token(store: Store, prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise SettingError(f"{prefix!r} is not 4 to 64 digits of a token's hash; kvmfaults-server token list")
    found = store.tokens_that_brought(prefix)
    if len(found) != 1:
        raise SettingError(f"{len(found) or 'no'} tokens that brought something begin with {prefix}")
    return found[0]


def _is_asked_for(options: argparse.Namespace) -> bool:
    if not options.yes:
        print("nothing is removed yet; --yes removes it for good")
    return bool(options.yes)


def _tell_of_tokens(store: Store, name: str) -> None:
    if any(token.host == name for token in store.tokens()):
        print(
            "its tokens are still good, and a host that delivers comes again: kvmfaults-server token revoke "
            f"--kind ingest --host {printable(name)}"
        )


def _words(contents: Contents, *, hosts: bool = False) -> str:
    parts = [
        _counted(contents.vms, "VM", "VMs"),
        _counted(contents.faults, "fault", "faults"),
        _counted(contents.batches, "batch", "batches"),
    ]
    return ", ".join([_counted(contents.hosts, "host", "hosts"), *parts] if hosts else parts)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
