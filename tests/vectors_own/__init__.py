"""Messages of our own for another implementer of the format, and the tests that hold us to them."""
