"""What is at the paths of a folder: files and directories, as the histories say at one moment (FORMAT 11)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ifap_twisted.core.history import History, Placed

_NO_HISTORY = History()


class Tree:
    """The histories of all paths, and the names in all directories; it never changes, so any thread may look.

    :param children: the names in each directory of which anything is live.
    """

    _histories: Mapping[str, History]
    _children: Mapping[str, Collection[str]]

    def __init__(self, histories: Mapping[str, History], children: Mapping[str, Collection[str]]) -> None:
        self._histories = histories
        self._children = children

    def settle(self) -> None:
        """Nothing is due."""

    def history(self, path: str) -> History:
        """The history of a path; empty when there is nothing of it."""
        self.settle()
        return self._histories.get(path, _NO_HISTORY)

    def paths(self) -> Iterator[str]:
        """All paths of which any version is there or missing, in no order, reserved and odd ones included."""
        self.settle()
        return iter(self._histories)

    def is_directory(self, path: str) -> bool:
        """The root, a path with a live descendant, or one with a marker, whatever its rank (FORMAT 11.2)."""
        self.settle()
        return not path or path in self._children or bool(self.markers(path))

    def markers(self, path: str) -> list[Placed]:
        """The heads that mark a directory, ascending by rank; several when two devices made it at once."""
        heads = self.history(path).heads
        return [head for head in heads if head.version.directory and not head.version.deleted]

    def is_file(self, path: str) -> bool:
        """There is a live file; possibly one whose name a directory keeps (FORMAT 11.2)."""
        return self.file(path) is not None

    def file(self, path: str) -> Placed | None:
        """The live file at a path: the current version, or beside a directory marker the highest file head."""
        history = self.history(path)
        live = [head for head in history.heads if not (head.version.deleted or head.version.directory)]
        return max(live, key=history.precedence) if live else None

    def children(self, path: str) -> list[str]:
        """The names in a directory, sorted by code points: live files, and directories (FORMAT 11.1, 11.2)."""
        self.settle()
        return sorted(self._children.get(path, ()))

    def count_children(self, path: str) -> int:
        """How many names are in a directory."""
        self.settle()
        return len(self._children.get(path, ()))

    def count_paths(self) -> int:
        """How many paths there are, as of :meth:`paths`."""
        self.settle()
        return len(self._histories)
