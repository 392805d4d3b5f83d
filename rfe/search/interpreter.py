"""The interpreter of Ray's workers where its path has a blank or another character that a shell takes apart."""

import os
import shlex


def quoted_interpreter(path: str) -> dict[str, str]:
    """The field of a runtime environment that has Ray start workers with the interpreter at `path`; none where the path
    needs no quotes.

    Ray writes the path into a shell's command line as it is: without the quotes no worker ever starts, without a word.
    """
    quoted = shlex.quote(path)
    return {} if quoted == path else {"py_executable": quoted}


def driver_environment(path: str) -> dict[str, dict[str, str]]:
    """The argument of `ray.init` by which workers with the interpreter at `path` start; none where it is not needed.

    Within a job it is the job's: Ray refuses a driver that repeats one of its fields.
    """
    field = quoted_interpreter(path)
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    return {"runtime_env": field} if field and not in_job else {}
