"""The program as a user calls it, in this process."""

from typer.testing import CliRunner, Result

from rfe.cli.program import app


def invoke(*arguments: object) -> Result:
    """Run `rfe ARGUMENTS`; standard output and error are kept apart."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
