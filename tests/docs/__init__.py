"""The documents are true: their examples run, their references are those of the code, their rules are those cited."""
