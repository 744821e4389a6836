"""What was said on the command line outside the verb; no verb's own options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

if TYPE_CHECKING:  # the seams import Twisted, which a usage error need not wait for
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem

WAIT_SECONDS: Final = 30.0
"""How long a verb waits for another process that has the account open (DESIGN 4.1)."""

BASEDIR_HELP: Final = "Where the node keeps its files [default: $IFAP_BASEDIR, else ~/.ifap]."
JSON_HELP: Final = "One JSON object per line on stdout, errors as JSON objects on stderr."
VERBOSE_HELP: Final = "Say more: each file, tracebacks; twice for debugging."
QUIET_HELP: Final = "Say nothing but results and errors."
WAIT_HELP: Final = f"How long to wait for another process that has the account open [default: {WAIT_SECONDS:g}]."

Opener: TypeAlias = "Callable[[Session], AbstractAsyncContextManager[IFilesystem]]"
"""Gives the filesystem that a verb works on, and closes it."""

Work: TypeAlias = "Callable[[Session], Awaitable[None]]"
"""What a verb does once there is a reactor."""

Runner: TypeAlias = "Callable[[Options, Work], int]"
"""Runs a verb to its end and gives the exit status."""


def open_for_real(session: Session) -> AbstractAsyncContextManager[IFilesystem]:
    """The running node's filesystem, or the account opened here."""
    from ifap_twisted.cli.opening import open_filesystem  # noqa: PLC0415 -- only when a verb needs it

    return open_filesystem(session)


def run_for_real(options: Options, work: Work) -> int:
    """Run on the global reactor."""
    from ifap_twisted.cli.session import run_on_reactor  # noqa: PLC0415 -- only when a verb needs it

    return run_on_reactor(options, work)


@dataclass(slots=True)
class Options:
    """The options of ``ifap`` itself, and the collaborators of a run.

    :ivar verbosity: -1 quiet, 0, 1 each file and tracebacks, 2 debugging.
    :ivar wait: seconds to wait for another process that has the account open.
    :ivar away: the verb can do its work while the mail server is away.
    :ivar opener: gives the filesystem; ``runner`` runs a verb: tests hand in their own.
    """

    basedir: Path | None = None
    json: bool = False
    verbosity: int = 0
    wait: float = WAIT_SECONDS
    away: bool = False
    opener: Opener = field(default=open_for_real)
    runner: Runner = field(default=run_for_real)


def _set_basedir(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_object(Options).basedir = Path(value)  # type: ignore[union-attr]


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_object(Options).json = True  # type: ignore[union-attr]


def _set_verbosity(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if not value:
        return
    options = context.find_object(Options)
    assert options is not None
    wanted = int(value) if parameter.name == "verbose" else -1
    if options.verbosity * wanted < 0:
        raise click.UsageError("-v and -q exclude each other.", context)
    options.verbosity = wanted if wanted < 0 else options.verbosity + wanted


def _set_wait(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
    if value is not None:
        context.find_object(Options).wait = value  # type: ignore[union-attr]


def common_options(*, hidden: bool) -> list[click.Parameter]:
    """The options of ``ifap`` itself; every verb takes them too, where they are not shown again."""
    seconds = click.FloatRange(min=0, max=86400)
    return [
        _option(["--basedir"], _set_basedir, BASEDIR_HELP, metavar="DIR", hidden=hidden),
        _option(["--json"], _set_json, JSON_HELP, is_flag=True, hidden=hidden),
        _option(["-v", "--verbose"], _set_verbosity, VERBOSE_HELP, count=True, hidden=hidden),
        _option(["-q", "--quiet"], _set_verbosity, QUIET_HELP, is_flag=True, hidden=hidden),
        _option(["--wait"], _set_wait, WAIT_HELP, metavar="SECONDS", type=seconds, hidden=hidden),
    ]


def _option(names: list[str], callback: Callable[..., None], text: str, **more: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=callback, help=text, **more)
