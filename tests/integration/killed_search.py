"""The search that `test_search` kills: DATA WORKSPACE CACHE. It has a Ray of its own, which must die with it."""

import sys
from pathlib import Path
from typing import Any

from rfe.search.driver import run_search
from rfe.search.fleet import open_fleet
from rfe.search.session import open_session
from rfe.workspace import open_workspace
from tests.integration import fakes
from tests.integration.test_search import make_space

if __name__ == "__main__":
    data, root, cache = (Path(argument) for argument in sys.argv[1:])
    (cache / fakes.SLEEP).write_text("1")
    # stacks smaller than cohorts, so that it can be killed when a cohort is half done
    settings: dict[str, Any] = {"stack": 2, "train": fakes.TRAIN, "prefetch": 0}
    with open_session(workers=1) as session, open_fleet(session, cache, **settings) as fleet:
        run_search(make_space("killed", 12), data, open_workspace(root), fleet=fleet)
