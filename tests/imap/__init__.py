"""The wire: splitter, grammar, pipeline, session, connector, each against scripted servers."""
