"""The console script ``ifap``: parses, runs a verb, and gives an exit status; no verb is known here.

Exceptions of a verb end in ``session``; those of the command line, and of verbs that need no reactor, end here.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from ifap_twisted._version import __version__
from ifap_twisted.cli.loading import VerbGroup
from ifap_twisted.cli.options import Options, common_options
from ifap_twisted.cli.printing import Console, OutputClosed
from ifap_twisted.cli.problems import INTERRUPTED, OTHER, USAGE
from ifap_twisted.platforms import require_posix

HELP = """An encrypted, versioned filesystem in an IMAP folder.

A verb talks to the running node when there is one (``ifap start``), and opens the account itself when there is none;
the result is the same. Remote paths need no leading slash. The options below may also follow the verb.

Example::

    ifap login --account imaps://me@imap.example.org
    ifap put -r photos /backup/
    ifap ls -l /backup/photos

Exit status: 0 done, 1 other failure, 2 usage or bad path, 3 not found, 4 conflict or exists, 5 locked, 6 too large or
over quota, 7 data damaged, forged or wrong key, 8 temporary (unreachable, throttled), 9 refused (login, TLS,
permission), 130 interrupted. Of several failures the first one counts. ``ifap help VERB`` tells more.
"""


def program() -> VerbGroup:
    """The command ``ifap`` with all its verbs, none of them loaded yet."""
    version = click.version_option(__version__, prog_name="ifap", message="%(prog)s %(version)s")
    group = VerbGroup(
        "ifap",
        params=common_options(hidden=False),
        help=HELP,
        callback=lambda: None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        subcommand_metavar="VERB [ARGS]...",
    )
    return version(group)


def run(arguments: Sequence[str] | None = None, options: Options | None = None) -> int:
    """Run ``ifap`` and give its exit status.

    :param arguments: by default those of the process, without its name.
    :param options: where a run starts from; tests hand in collaborators by it.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    chosen = options or Options()
    open_closed_streams()
    try:
        require_posix(sys.platform)
        _let_every_name_be_printed()
        status = program().main(given, prog_name="ifap", standalone_mode=False, obj=chosen)
        Console().flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except OutputClosed:
        return OTHER
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- told in one line, with its traceback when -v was given
        return _failed(error, chosen, given)
    return int(status or 0)


def open_closed_streams() -> None:
    """Put something in the place of stdin, stdout and stderr that the caller closed (``>&-``).

    Otherwise the next file that is opened gets the number, and what is printed goes into it. Writing to a stdout that
    was closed stays an error; a stderr that was closed is taken to be not wanted.
    """
    modes = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
    for number, mode in modes.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number, which is this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for the whole process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _let_every_name_be_printed() -> None:
    """Where the locale's encoding has no such character a name is shown escaped, instead of ending the verb."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _failed(error: Exception, options: Options, given: Sequence[str]) -> int:
    console = Console(as_json=options.json or "--json" in given, verbosity=options.verbosity)
    if isinstance(error, click.UsageError) and error.ctx is not None and not console.json:
        console.note(error.ctx.get_usage())
    console.failed(error)
    with suppress(OutputClosed, OSError):  # told already, if it was this that failed
        console.flush()
    return console.status
