"""Start a local Ray and run one task, as a search does; `rfe doctor` runs this in a separate process."""

import sys

from rfe.errors import RfeError
from rfe.scratch import provide_home


def main() -> int:
    """Exit code 0, or 1 after a sentence on standard error."""
    try:
        provide_home()
        import ray

        from rfe.search.session import open_session
        from rfe.search.worker_group import WORKER_ENVIRONMENT

        with open_session():
            # as workers are started: with an environment of their own
            answer = ray.remote(lambda: 1).options(num_cpus=0, runtime_env={"env_vars": WORKER_ENVIRONMENT}).remote()
            ray.get(answer)
    except RfeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
