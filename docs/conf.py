"""Sphinx: ``sphinx-build -n -W -b html docs docs/_build/html``; a warning is an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "src")]

from ifap_twisted import __version__  # noqa: E402 -- found by the line above

project = "ifap-twisted"
author = "The ifap-twisted authors"
copyright = "2026, the ifap-twisted authors"  # noqa: A001 -- Sphinx calls it so
version = release = __version__

extensions = ["sphinx.ext.autodoc", "ifap_reference"]
exclude_patterns = ["_build", "_extensions", "examples"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(twisted|zope|collections|pathlib|types|typing)\..*"),
    # Annotations in the interfaces, which name what other libraries and the standard one have.
    (
        "py:class",
        r"(Deferred|Callable|abc.Collection|Sequence|Mapping|Iterable|AsyncIterable|IO|Path|PurePath|TracebackType)",
    ),
    ("py:class", r"(FolderState|HeaderBlock|Receipt|IBatch|IFile|IFolderListener|IOpening|IStream)"),
    ("py:class", r"(RemotePath|Source|Listener|Progress|Expect|JSON|Self)"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

highlight_language = "text"

html_theme = "alabaster"
html_theme_options = {
    "description": "An encrypted, versioned filesystem in an IMAP folder, as a Twisted service",
    "fixed_sidebar": True,
    "page_width": "1080px",
}
html_static_path = []
html_copy_source = False
