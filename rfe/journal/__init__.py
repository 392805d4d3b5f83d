"""The journal of a study: the one truth about it, an append-only file of events on the disk."""
