# SPDX-License-Identifier: Apache-2.0
"""The command ``kvmfaults-server``: serve, migrate, make and revoke tokens, explain words, check rules."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from backend import alerts_command, clock_command, copy_command, removal_commands, retention_command
from backend.auth import TokenKind
from backend.errors import BackendError, SettingError
from backend.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_PROXIES,
    Settings,
    has_password,
    parse_port,
    parse_proxy,
    parse_switch,
    parse_workers,
)
from backend.store import open_store
from backend.store.contract.store import Store
from backend.token_file import create_token_file
from backend.token_list import describe_token, revoke_by_id, revoke_by_kind
from backend.version import version
from faultmodel import console
from faultmodel.errors import FaultModelError
from faultmodel.explain import explain, explain_text
from faultmodel.named import is_target
from faultmodel.pasted import MAX_CHARACTERS
from faultmodel.text import printable

_FAILED = 2
_PROGRESS_LINES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 2, with a line on standard error, where it fails."""
    return console.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int | None] = options.command
    try:
        return command(options) or 0
    except (BackendError, FaultModelError) as exc:
        print(f"kvmfaults-server: {exc}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kvmfaults-server",
        description="The server of kvmfaults. Each option of serve, --database and --series may be set in "
        "the environment instead: KVMFAULTS_DATABASE, _SERIES, _HOST, _PORT, _FRONTEND, _ALERTS, "
        "_ALERTMANAGER, _ALLOWED_HOSTS and _TRUSTED_PROXIES (with commas), _EXPECT_COLLECTOR (1 or 0), "
        "_WORKERS.",
    )
    parser.add_argument("--version", action="version", version=f"kvmfaults-server {version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve the API and the page"))
    _add_migrate(commands.add_parser("migrate", help="bring the database to this version"))
    token = commands.add_parser("token", help="make, list and revoke tokens")
    tokens = token.add_subparsers(required=True, metavar="ACTION")
    _add_token_create(tokens.add_parser("create", help="make a token and write it to a file of mode 0600"))
    _add_token_list(tokens.add_parser("list", help="list every token's id, kind and host"))
    removal_commands.add_parsers(commands, tokens, _add_database)
    clock_command.add_parser(commands, _add_database)
    retention_command.add_parser(commands, _add_database)
    copy_command.add_parser(commands)
    alerts_command.add_parser(commands)
    _add_token_revoke(
        tokens.add_parser("revoke", help="take tokens away; sessions and streams opened with them end")
    )
    _add_decode(commands.add_parser("decode", help="explain a word that the hardware or KVM gave"))
    return parser


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="URL",
        default=_environment("DATABASE"),
        help="sqlite:///PATH or postgresql://USER@HOST:PORT/NAME; the password is read from ~/.pgpass, from"
        " the file that PGPASSFILE names, or from a service file (?service=NAME and PGSERVICEFILE)",
    )
    parser.add_argument(
        "--series",
        metavar="URL",
        default=_environment("SERIES"),
        help="clickhousedb://USER:PASSWORD@HOST:PORT/NAME, where counts and records are in ClickHouse and"
        " only the rest is in --database",
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_database(parser)
    parser.add_argument(
        "--host",
        default=_environment("HOST") or DEFAULT_HOST,
        help="address to listen on (%(default)s); any but a loopback one needs a token to read",
    )
    parser.add_argument(
        "--port",
        default=_environment("PORT") or str(DEFAULT_PORT),
        help="port to listen on (%(default)s; 0 takes a free one)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        default=_environment("WORKERS") or "1",
        help="serve with so many processes on the one port (%(default)s); they share what a machine can bear",
    )
    parser.add_argument(
        "--frontend",
        type=Path,
        metavar="DIR",
        default=_environment("FRONTEND"),
        help="serve the page from this folder, not the one that comes with the server",
    )
    parser.add_argument(
        "--alerts",
        type=Path,
        metavar="FILE",
        default=_environment("ALERTS"),
        help="the rules of alerts, beside the default ones; read again when the file changes",
    )
    parser.add_argument(
        "--alertmanager",
        action="append",
        metavar="URL",
        help="send alerts to this Alertmanager, as http://127.0.0.1:9093; may be given several times",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="answer to this name too; may be given several times",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        metavar="ADDRESS",
        help="believe this address, or network of addresses, for whom it asks (X-Forwarded-For) and whether"
        " by https (X-Forwarded-Proto); may be given several times (127.0.0.1)",
    )
    parser.add_argument(
        "--expect-collector",
        action="store_true",
        default=None,
        help="be ready only while a host's probes are attached (the default)",
    )
    parser.add_argument(
        "--no-collector",
        dest="expect_collector",
        action="store_false",
        default=None,
        help="be ready without a collector",
    )
    parser.set_defaults(command=_serve)


def _add_migrate(parser: argparse.ArgumentParser) -> None:
    _add_database(parser)
    parser.set_defaults(command=_migrate)


def _add_token_create(parser: argparse.ArgumentParser) -> None:
    _add_database(parser)
    parser.add_argument(
        "--kind",
        choices=[kind.value for kind in TokenKind],
        required=True,
        help="ingest hands in a host's batches; read reads; record reads, and has hosts record every fault of"
        " a VM",
    )
    parser.add_argument("--host", metavar="NAME", help="the host whose batches an ingest token may hand in")
    parser.add_argument("--file", type=Path, metavar="PATH", required=True, help="where to write the token")
    parser.add_argument(
        "--if-missing",
        action="store_true",
        help="keep a file that is there already, and make its token known to the database",
    )
    parser.set_defaults(command=_create_token)


def _add_token_list(parser: argparse.ArgumentParser) -> None:
    _add_database(parser)
    parser.set_defaults(command=_list_tokens)


def _add_token_revoke(parser: argparse.ArgumentParser) -> None:
    _add_database(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", metavar="ID", help="the token with this id, as the list has it")
    which.add_argument("--kind", choices=[kind.value for kind in TokenKind], help="every token of this kind")
    parser.add_argument("--host", metavar="NAME", help="with --kind ingest: of this host only")
    parser.set_defaults(command=_revoke_tokens)


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Explain a word: decode x86_64:npf 0x200000006, decode arm64 0x92000047, decode exit 8,"
        " decode exit-reason 39, decode errno 14. Or a number alone: decode 181 gives all that it may be. Or"
        " every word in lines of a trace or a log:"
        " decode 'LINE', decode - < FILE."
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="TARGET WORD | LINE | -",
        help="x86_64:ept, x86_64:npf, x86_64:pferr, arm64, riscv64, exit, exit-reason or errno, and a word;"
        " digits alone are read as hexadecimal and as decimal. Or a text; - reads it from standard input",
    )
    parser.set_defaults(command=_decode)


def _serve(options: argparse.Namespace) -> None:
    # What is imported stays: to look through it for garbage meanwhile takes a seventh of the time.
    gc.disable()
    from backend.server import serve

    gc.enable()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    settings = Settings(
        database=_database(options),
        series=options.series,
        host=options.host,
        port=parse_port(options.port),
        frontend=options.frontend,
        alerts=options.alerts,
        alertmanagers=_alertmanagers(options),
        expects_collector=_expects_collector(options),
        allowed_hosts=_listed("ALLOWED_HOSTS", options.allowed_host),
        trusted_proxies=_trusted_proxies(options),
        workers=parse_workers(options.workers),
    )
    serve(settings)


def _migrate(options: argparse.Namespace) -> None:
    # Alembic takes long to import, and only migrations need it.
    from backend.store.sql.migrate import migrate

    migrate(_database(options), _print_progress)
    if options.series is not None:
        with closing(open_store(_database(options), options.series)) as store:
            store.prepare()


def _print_progress(what: str, done: int, whole: int) -> None:
    if whole and (done == whole or done * _PROGRESS_LINES // whole != (done - 1) * _PROGRESS_LINES // whole):
        print(f"{what}: {done:,} of {whole:,} VMs", file=sys.stderr, flush=True)


def _create_token(options: argparse.Namespace) -> None:
    kind = TokenKind(options.kind)
    if (kind is TokenKind.INGEST) != (options.host is not None):
        raise SettingError("an ingest token is for one --host, tokens of other kinds for none")
    if options.host is not None and printable(options.host) != options.host:
        raise SettingError(f"host name {options.host!r} has characters that do not show; choose another")
    with closing(_open(options)) as store:
        store.check_schema()
        made = create_token_file(store, kind, options.host, options.file, if_missing=options.if_missing)
    if made:
        print(f"kvmfaults: {kind} token in {options.file}")


def _list_tokens(options: argparse.Namespace) -> None:
    with closing(_open(options)) as store:
        store.check_schema()
        for token in store.tokens():
            print(describe_token(token))


def _revoke_tokens(options: argparse.Namespace) -> None:
    if options.host is not None and options.kind != TokenKind.INGEST:
        raise SettingError("--host goes with --kind ingest: other tokens are of no host")
    with closing(_open(options)) as store:
        store.check_schema()
        if options.id is not None:
            revoked = [revoke_by_id(store, options.id)]
        else:
            revoked = [*revoke_by_kind(store, TokenKind(options.kind), options.host)]
    for token in revoked:
        print(f"revoked {describe_token(token)}")


def _decode(options: argparse.Namespace) -> None:
    words = options.words
    if words == ["-"]:
        # One more than is looked at, so that a text that is longer is known to be.
        print(explain_text(sys.stdin.read(MAX_CHARACTERS + 1)))
    elif len(words) == 2 and (is_target(words[0]) or not set(words[0]) & {":", " "}):
        print(explain(*words))
    else:
        print(explain_text(" ".join(words)))


def _environment(name: str) -> str | None:
    return os.environ.get(f"KVMFAULTS_{name}") or None


def _database(options: argparse.Namespace) -> str:
    if options.database is None:
        raise SettingError("no database named; give --database URL or set KVMFAULTS_DATABASE")
    if options.database != _environment("DATABASE") and has_password(options.database):
        print(
            "kvmfaults-server: every user of this machine can read the password in --database, as ps shows"
            " it; put it into ~/.pgpass or a service file, or the URL into KVMFAULTS_DATABASE",
            file=sys.stderr,
        )
    series = getattr(options, "series", None)
    if series and series != _environment("SERIES") and has_password(series):
        print(
            "kvmfaults-server: every user of this machine can read the password in --series, as ps shows it;"
            " put the URL into KVMFAULTS_SERIES",
            file=sys.stderr,
        )
    return str(options.database)


def _open(options: argparse.Namespace) -> Store:
    return open_store(_database(options), options.series)


def _expects_collector(options: argparse.Namespace) -> bool:
    if options.expect_collector is not None:
        return bool(options.expect_collector)
    return parse_switch("KVMFAULTS_EXPECT_COLLECTOR", _environment("EXPECT_COLLECTOR") or "1")


def _alertmanagers(options: argparse.Namespace) -> tuple[str, ...]:
    if any(map(has_password, options.alertmanager or ())):
        print(
            "kvmfaults-server: every user of this machine can read the password in --alertmanager, as ps"
            " shows it; put the URL into KVMFAULTS_ALERTMANAGER",
            file=sys.stderr,
        )
    return _listed("ALERTMANAGER", options.alertmanager)


def _trusted_proxies(options: argparse.Namespace) -> tuple[str, ...]:
    named = _listed("TRUSTED_PROXIES", options.trusted_proxy)
    # The variable of uvicorn, which this server was given before it had one of its own.
    named = named or _split(os.environ.get("FORWARDED_ALLOW_IPS", ""))
    return tuple(map(parse_proxy, named)) or DEFAULT_PROXIES


def _listed(variable: str, given: Sequence[str] | None) -> tuple[str, ...]:
    return *_split(_environment(variable) or ""), *_split(",".join(given or ()))


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


if __name__ == "__main__":
    sys.exit(main())
