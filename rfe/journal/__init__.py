"""The journal of a study: an append-only file of events, the authoritative record of the study."""
