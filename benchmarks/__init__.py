"""Measurements against a Dovecot on loopback; see ``python -m benchmarks --help``."""
