"""How fast it is, beside what the server and the cipher allow in the same run; see ``python -m benchmarks --help``."""
