"""The plugin by which ``twistd`` finds ``ifap``."""

from twisted.application.service import ServiceMaker

ifap = ServiceMaker("ifap", "ifap_twisted.tap", "An encrypted, versioned filesystem in an IMAP folder.", "ifap")
