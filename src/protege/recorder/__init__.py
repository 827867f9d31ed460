"""Screen and keys become a Session; other people's recordings are imported as one."""
