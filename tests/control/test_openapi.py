"""/v1/openapi.json against the table and against the specification of OpenAPI."""

from __future__ import annotations

from openapi_spec_validator import validate
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted._version import __version__
from ifap_twisted.control.openapi import methods_of
from ifap_twisted.control.routes import ROUTES
from ifap_twisted.core.values import Entry, Status
from tests.control.wire import Node


class OpenApiTests(SynchronousTestCase):
    """The description."""

    def setUp(self):
        """As a node gives it."""
        self.node = Node()
        self.found = self.node.ask("GET", "/v1/openapi.json").json()

    def test_valid(self):
        """It is valid OpenAPI 3.1."""
        validate(self.found)
        self.assertEqual(self.found["info"]["version"], __version__)

    def test_every_route(self):
        """It has every method of every route and no other."""
        described = {(url, method.upper()) for url, operations in self.found["paths"].items() for method in operations}
        self.assertEqual(described, {(route.url, method) for route in ROUTES for method in methods_of(route)})

    def test_open_routes(self):
        """It says of which routes no token is needed."""
        for route in ROUTES:
            operation = self.found["paths"][route.url][route.methods[0].lower()]
            self.assertEqual(operation.get("security") == [], route.open, route.url)

    def test_objects(self):
        """The objects have the keys that are really sent."""
        schemas = self.found["components"]["schemas"]
        self.assertEqual(set(schemas["Entry"]["required"]), set(Entry(path="a").to_json()))
        status = Status(state="connected", account="", folder="", dialect=None)
        self.assertEqual(set(schemas["Status"]["required"]), set(status.to_json()))
        job = self.node.post("/v1/snapshot", {}).json()
        self.assertEqual(set(schemas["Job"]["required"]), set(job))
        problem = self.node.ask("GET", "/v1/files/nothing").json()
        self.assertLessEqual(set(schemas["Problem"]["required"]), set(problem))

    def test_parameters(self):
        """Every parameter is described where it is."""
        operation = self.found["paths"]["/v1/list/{path}"]["get"]
        names = {(parameter["name"], parameter["in"]) for parameter in operation["parameters"]}
        self.assertEqual(names, {("path", "path"), ("recursive", "query"), ("everything", "query"), ("at", "query")})
