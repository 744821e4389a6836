"""The format: bytes, values and decisions, without any I/O."""
