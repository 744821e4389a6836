"""Tests of ``docs/examples``."""
