"""The service: versions, conflicts, freshness, directories, over any shelf."""
