"""Hostile input for everything that reads what others wrote: bar R11 of the promises."""
