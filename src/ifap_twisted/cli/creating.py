"""A new basedir, with a settings file that says what there is to set and sets nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ifap_twisted.basedir import Basedir, default_basedir
from ifap_twisted.cli.options import Options
from ifap_twisted.cli.printing import Console
from ifap_twisted.errors import AlreadyExists
from ifap_twisted.settings import Settings

HEAD: Final = """\
# The settings of this node. A line takes effect without its leading "# "; `ifap info --settings` shows what holds.
# Secrets are never written here: `ifap login` keeps them, or name their files.
format = 1
"""
NAME: Final = "ifap.toml"


def create(options: Options, directory: str | None) -> None:
    """Make the basedir.

    :raises AlreadyExists: it has settings already.
    """
    path = Path(directory) if directory is not None else options.basedir or default_basedir(os.environ)
    with Basedir(path) as basedir:
        if not basedir.files.write_new(NAME, template().encode()):
            raise AlreadyExists(f"{basedir.settings_file} is there already.")
        made = str(basedir.path)
    console = Console(as_json=options.json, verbosity=options.verbosity)
    if console.json:
        console.object({"basedir": made})
    console.note(f"Made {made}; `ifap --basedir {made} start` starts its node.")


def template() -> str:
    """Every setting with its default, commented out, in the form that the file wants."""
    lines = [HEAD]
    table = ""
    for name, value, _source in Settings().rows():
        group, _dot, last = name.rpartition(".")
        if group:
            continue
        lines.append(_line(last, value))
    for name, value, _source in Settings().rows():
        group, _dot, last = name.rpartition(".")
        if not group:
            continue
        if group != table:
            lines.append(f"\n[{group}]")
            table = group
        lines.append(_line(last, value))
    return "\n".join(lines) + "\n"


def _line(name: str, value: str | None) -> str:
    if value is None:
        return f"# {name} ="
    plain = value in {"true", "false"} or value.isdigit()
    return f"# {name} = {value}" if plain else f'# {name} = "{value}"'
