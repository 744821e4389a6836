"""Tests of the control resource and its client."""
