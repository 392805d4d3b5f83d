"""What can go wrong, as seen by the user. Every message names the file, the field, the value and the remedy."""

LISTED = 20
"""Problems that one error lists before it counts the rest."""


class RfeError(Exception):
    """Base of every error this package raises on purpose; the command line prints it without a traceback."""

    exit_code = 2

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in the place of a traceback, as the command line does."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(RfeError):
    """A configuration, search space or command-line value is wrong."""


class DataError(RfeError):
    """A data folder, feature file or metadata file is wrong."""


class SubmissionError(RfeError):
    """A submission file or bundle is wrong."""


class StudyError(RfeError):
    """A study cannot be opened, resumed or read as asked."""


class TrialError(RfeError):
    """A trial failed; ours to report, not the user's input."""

    exit_code = 1


def gather(problems: list[str], error: type[RfeError], heading: str) -> None:
    """Raise one `error` that lists all `problems`, or return if there are none.

    Args:
        problems: one sentence each.
        error: the class to raise.
        heading: what was being read, e.g. the file's path.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise error(f"{heading}: {problems[0]}")
    listed = problems[:LISTED] + [f"and {len(problems) - LISTED} more"] * (len(problems) > LISTED)
    raise error(f"{heading}: {len(problems)} problems\n" + "\n".join(f"  - {problem}" for problem in listed))
