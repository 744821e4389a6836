"""The parts of ``mailproxy.tac``."""
