"""The command line: parses, calls `rfe.api`, prints."""

from rfe.cli.program import main

__all__ = ["main"]
