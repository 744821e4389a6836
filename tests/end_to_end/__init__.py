"""Everything together as users have it: processes of ``twistd`` and ``ifap``, HTTP, real mail servers."""
