"""The settings of a node: what they may be, where they come from, and how one is written back."""

from ifap_twisted.settings.layers import load_settings
from ifap_twisted.settings.quantities import format_duration, format_size, parse_duration, parse_size
from ifap_twisted.settings.record import Settings

__all__ = ["Settings", "format_duration", "format_size", "load_settings", "parse_duration", "parse_size"]
