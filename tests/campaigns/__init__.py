"""Campaigns: what is too long for every run, each a command (``python -m tests.campaigns.NAME``)."""
