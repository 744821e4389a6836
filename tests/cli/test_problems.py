"""Errors as exit statuses, lines and JSON objects."""

from __future__ import annotations

import errno

import click
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted import errors
from ifap_twisted.cli.problems import STATUSES, exit_status, problem, sentence

DESIGN_7 = {
    2: "InvalidPath BadSettings IsADirectory",
    3: "NotFound UnknownVersion",
    4: "Conflict AlreadyExists StoredAsConflict NotADirectory DirectoryNotEmpty",
    6: "TooLarge QuotaExceeded NoRoom",
    7: "Malformed Damaged WrongKey Tampered SnapshotCorrupt Plaintext ForeignKey ForeignFolder Unbound Spliced "
    "RevokedKey RolledBack VidCollision NewerVersionNeeded ReadOnly NotSupported KeyRequired",
    8: "Unavailable Throttled TimedOut Renumbered MessageGone BasedirInUse OutcomeUnknown",
    9: "AuthenticationRefused KeyChanged NotTrusted Refused ProtocolViolation Unauthorised Forbidden",
}


class ExitStatusTests(SynchronousTestCase):
    """The table of DESIGN 7."""

    def test_no_hole(self) -> None:
        """Every class of the tree has a row of its own, and no row is about anything else."""
        tree = {getattr(errors, name) for name in errors.__all__}
        self.assertEqual(tree, _descendants(errors.IFAPError) & tree)
        self.assertEqual(tree | {errors.IFAPError}, set(STATUSES))

    def test_design(self) -> None:
        """The statuses are those of the design."""
        for status, names in DESIGN_7.items():
            for name in names.split():
                self.assertEqual(status, STATUSES[getattr(errors, name)], name)

    def test_class_of_tomorrow(self) -> None:
        """An error without a row has the status of the class above it."""

        class Later(errors.Unavailable):
            """Not yet."""

        self.assertEqual(8, exit_status(Later()))

    def test_local_files(self) -> None:
        """Failures with local files have statuses like their remote kin."""
        for number, status in (
            (errno.ENOENT, 3),
            (errno.EEXIST, 4),
            (errno.EISDIR, 2),
            (errno.EACCES, 9),
            (errno.ENOSPC, 6),
            (errno.ESTALE, 8),
            (errno.EIO, 1),
        ):
            self.assertEqual(status, exit_status(OSError(number, "x")), number)

    def test_usage_and_bugs(self) -> None:
        """A wrong command line is 2, a bug 1."""
        self.assertEqual(2, exit_status(click.UsageError("x")))
        self.assertEqual(1, exit_status(AttributeError("x")))


class SentenceTests(SynchronousTestCase):
    """The one line on stderr."""

    def test_path_once(self) -> None:
        """The path is said once: put before the sentence where that does not name it."""
        self.assertEqual("/a/b: Gone.", sentence(errors.NotFound("Gone.", path="a/b")))
        self.assertEqual("There is no /a/b.", sentence(errors.NotFound("There is no /a/b.", path="a/b")))
        self.assertEqual("/a: It changed.", sentence(errors.Conflict("It changed.", path="a")))

    def test_about(self) -> None:
        """An error that does not know its path is told with the one that was worked on."""
        self.assertEqual("/a: Full.", sentence(errors.QuotaExceeded("Full."), "a"))
        self.assertEqual("/a", problem(errors.QuotaExceeded("Full."), "a")["path"])
        self.assertEqual("/b", problem(errors.QuotaExceeded("Full.", path="b"), "a")["path"])

    def test_no_detail(self) -> None:
        """Without a sentence of its own an error says what its class means."""
        self.assertEqual("The mailbox is full", sentence(errors.QuotaExceeded()))

    def test_local_file(self) -> None:
        """A failure with a local file names the file."""
        self.assertEqual("x/y: Permission denied", sentence(PermissionError(errno.EACCES, "Permission denied", "x/y")))

    def test_bug(self) -> None:
        """A bug is named as one, its text is not shown: it could hold anything."""
        line = sentence(KeyError("hunter2"))
        self.assertIn("bug", line)
        self.assertIn("-v", line)
        self.assertNotIn("hunter2", line)


class ObjectTests(SynchronousTestCase):
    """The JSON object of DESIGN 4.5."""

    KEYS = frozenset({"type", "title", "status", "detail", "code", "path", "retryable"})

    def test_keys(self) -> None:
        """All errors have the same keys, whatever kind they are."""
        for error in (errors.NotFound(path="x"), OSError(2, "x"), click.UsageError("x"), KeyError("x")):
            self.assertLessEqual(self.KEYS, set(problem(error)))

    def test_ours(self) -> None:
        """An error of the tree has its code, HTTP status and path."""
        found = problem(errors.Throttled("Slow down.", path="a"))
        self.assertEqual(
            ("throttled", 503, "/a", True), tuple(found[k] for k in ("code", "status", "path", "retryable"))
        )

    def test_precondition(self) -> None:
        """A failed precondition is 412, as over HTTP."""
        self.assertEqual(412, problem(errors.Conflict(path="a"))["status"])

    def test_others(self) -> None:
        """A wrong command line and a local file have codes of their own."""
        self.assertEqual("usage", problem(click.UsageError("x"))["code"])
        self.assertEqual("local-file", problem(OSError(2, "x"))["code"])


def _descendants(cls: type) -> set[type]:
    return {cls}.union(*(_descendants(child) for child in cls.__subclasses__()))
