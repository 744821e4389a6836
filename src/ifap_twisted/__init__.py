"""An encrypted, versioned filesystem in an IMAP folder, as a Twisted service."""

from ifap_twisted._version import __version__

__all__ = ["__version__"]
