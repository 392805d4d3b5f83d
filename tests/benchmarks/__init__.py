"""Timings of this machine, for people: `make bench`. Nothing is asserted here; tests assert counts, never seconds."""
