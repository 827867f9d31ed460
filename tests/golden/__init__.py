"""Files as users have them on their disks, kept as they were: what reads or writes them must not change."""
