"""The embedded IMAP server, the default account."""
