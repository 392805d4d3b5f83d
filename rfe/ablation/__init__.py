"""Ablations: arms that differ from a base in one thing each, replicated and compared in pairs."""
