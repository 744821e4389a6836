"""Shelves of numbered, immutable messages, and their decorators."""
