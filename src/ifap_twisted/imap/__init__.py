"""The wire: one IMAP connection, driven through Twisted's IMAP4Client."""
