"""Errors as problem objects and back, without a hole in the tree."""

from __future__ import annotations

from http import HTTPStatus

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted import errors
from ifap_twisted.control import problems
from ifap_twisted.control.problems import STATUSES, RequestProblem, error_of, headers_of, problem, status_of


def tree(cls=errors.IFAPError):
    """Every class of the error tree."""
    yield cls
    for below in cls.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


class TreeTests(SynchronousTestCase):
    """The table against ``errors.py``."""

    def test_no_hole(self):
        """Every error has an HTTP status of its own, and the table has no other."""
        self.assertEqual(set(STATUSES), set(tree()))

    def test_statuses_are_errors(self):
        """Each is a client or server error that HTTP knows."""
        for cls, status in STATUSES.items():
            self.assertGreaterEqual(HTTPStatus(status), 400, cls)

    def test_codes_differ(self):
        """No two errors have one code, so that a client gets the same class back."""
        codes = [cls.code for cls in tree()]
        self.assertEqual(len(set(codes)), len(codes))

    def test_caller_data_store(self):
        """What the caller did wrong is 4xx or not supported; data and store are 5xx."""
        for cls, status in STATUSES.items():
            if issubclass(cls, errors.CallerError):
                self.assertTrue(status < 500 or status == 501, cls)
            else:
                self.assertGreaterEqual(status, 500, cls)

    def test_retryable_is_503(self):
        """What may work later is 503, and nothing else is."""
        for cls, status in STATUSES.items():
            self.assertEqual(cls.retryable, status == 503, cls)

    def test_design(self):
        """The statuses that the design names one by one (DESIGN 7)."""
        expected = {
            errors.MessageGone: 503,
            errors.DirectoryNotEmpty: 409,
            errors.NotADirectory: 409,
            errors.IsADirectory: 409,
            errors.ReadOnly: 501,
            errors.NotSupported: 501,
            errors.NewerVersionNeeded: 501,
            errors.Tampered: 502,
            errors.StoredAsConflict: 412,
            errors.BasedirInUse: 503,
            errors.OutcomeUnknown: 503,
            errors.Unauthorised: 401,
            errors.Forbidden: 403,
            errors.QuotaExceeded: 507,
            errors.NoRoom: 507,
            errors.TooLarge: 413,
            errors.InvalidPath: 400,
            errors.UnknownVersion: 404,
        }
        self.assertEqual({cls: STATUSES[cls] for cls in expected}, expected)


class ProblemTests(SynchronousTestCase):
    """One error."""

    def test_keys(self):
        """A problem object has the keys of DESIGN 4.5."""
        found = problem(errors.NotFound("There is no file /a.", path="a"))
        self.assertEqual(found["type"], "urn:ifap:problem:not-found")
        self.assertEqual(found["title"], "There is no such file or directory")
        self.assertEqual((found["status"], found["code"], found["path"]), (404, "not-found", "/a"))
        self.assertEqual((found["detail"], found["retryable"]), ("There is no file /a.", False))

    def test_precondition(self):
        """A conflict is 412 when the request had a precondition and 409 when it had none."""
        for error in (errors.Conflict(), errors.AlreadyExists()):
            self.assertEqual(status_of(error), 409)
            self.assertEqual(status_of(error, conditional=True), 412)
            self.assertEqual(problem(error, conditional=True)["status"], 412)

    def test_there_and_back(self):
        """Every error comes back as the same class with the same detail, path and attributes."""
        more = {
            errors.Conflict: {"expected": "v1", "found": None},
            errors.StoredAsConflict: {"expected": None, "found": "v2"},
            errors.TooLarge: {"limit": 10, "size": 11},
            errors.Throttled: {"seconds": 2.5},
            errors.Malformed: {"section": "body"},
            errors.Refused: {"status": "NO", "response_code": "NOPERM"},
            errors.BasedirInUse: {"pid": 42},
        }
        for cls in tree():
            error = cls("What happened.", path="a/b", **more.get(cls, {}))
            back = error_of(problem(error))
            self.assertIs(type(back), cls)
            self.assertEqual(vars(back), vars(error))
            self.assertEqual((back.detail, back.path), (error.detail, error.path))

    def test_without_path(self):
        """An error about no path has null as path, and comes back without one."""
        self.assertIsNone(problem(errors.Unavailable())["path"])
        self.assertIsNone(error_of(problem(errors.Unavailable())).path)

    def test_unknown_code(self):
        """A code of a newer node becomes the general class of its status."""
        for status, cls in ((418, errors.CallerError), (503, errors.Unavailable), (500, errors.StoreError)):
            back = error_of({"code": "from-the-future", "status": status, "detail": "Hm."})
            self.assertIs(type(back), cls)
            self.assertEqual(back.detail, "Hm.")

    def test_nonsense(self):
        """Whatever a node sends as a problem becomes an error."""
        for found in ({}, {"code": []}, {"status": "x"}, {"code": "too-large", "about": 3}, {"path": 7}):
            self.assertIsInstance(error_of(found), errors.IFAPError)

    def test_headers(self):
        """A 401 says how to log in, and throttling says when to come back."""
        self.assertEqual(headers_of(errors.Unauthorised()), {"WWW-Authenticate": 'Bearer realm="ifap"'})
        self.assertEqual(headers_of(errors.Throttled(seconds=0.2)), {"Retry-After": "1"})
        self.assertEqual(headers_of(errors.Throttled(seconds=90)), {"Retry-After": "90"})
        self.assertEqual(headers_of(errors.NotFound()), {})

    def test_request_problem(self):
        """What only HTTP forbids has the same keys."""
        found = RequestProblem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "No.").to_json()
        self.assertEqual(set(found), set(problem(errors.NotFound())) - {"about"})
        self.assertEqual((found["status"], found["title"]), (405, "Method Not Allowed"))

    def test_bug(self):
        """A bug is told with a fixed text."""
        self.assertEqual(problems.internal_problem()["code"], "internal-error")
