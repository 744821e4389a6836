"""The local HTTP control resource and its client: translates, decides nothing."""
