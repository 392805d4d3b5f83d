"""A search on a cluster of three nodes that have caches of their own and, being on one machine, share an address."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rfe.search.driver import run_search
from rfe.search.options import RunOptions
from rfe.search.session import LIGHT_CPU
from rfe.search_space import load_space
from rfe.workspace import Workspace
from tests.integration import fakes

NODES = 3
TRIALS = 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    """The head has a CPU for a worker and one for the search itself; the others have one for a worker each."""
    from ray.cluster_utils import Cluster

    def node(number: int) -> dict[str, Any]:
        own = {"RFE_CACHE": str(tmp_path / f"cache{number}")}
        return {"num_cpus": 2 - bool(number), "object_store_memory": 100 * 2**20, "env_vars": own}

    cluster = Cluster(initialize_head=True, head_node_args={**node(0), "include_dashboard": False})
    try:
        for number in range(1, NODES):
            cluster.add_node(**node(number))
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Counter[str]]]:
    """(URI of the folder, how often each file was fetched)."""
    fetched: Counter[str] = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.endswith("/"):
                fetched[Path(self.path).name] += 1
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{folder.name}/", fetched
    finally:
        server.shutdown()


def test_each_node_fetches_the_data_once_and_light_trials_take_no_workers_place(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.util import placement_group_table

    folder = fakes.write_data(tmp_path / "tiny")
    workspace = Workspace(tmp_path / "workspace", f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "cache0")
    space = load_space(
        {
            "study": "nodes",
            "base": {"train.epochs": 2, "model.latent_dim": 8},
            "space": {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}},
            "sampler": {"kind": "random"},
            "budget": {"trials": TRIALS},
            "confirm": {"top": 0},
            "cohort": 1,  # as many light trials as can be
        }
    )
    monkeypatch.setattr("rfe.search.fleet.STACK_ON_CPU", 1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        here = ray.get_runtime_context().get_node_id()
        with served(folder) as (uri, fetched):
            outcome = run_search(space, uri, workspace, RunOptions(workers=NODES))
        groups = [one for one in placement_group_table().values() if one["bundles"][0].get("CPU") == LIGHT_CPU]
    finally:
        ray.shutdown()
    assert outcome.trials["complete"] == TRIALS
    assert fetched == dict.fromkeys((path.name for path in folder.iterdir()), NODES)
    assert all(list((tmp_path / f"cache{number}").glob("*")) for number in range(NODES))
    nodes = {node for one in groups for node in one["bundles_to_node_id"].values() if node}
    assert nodes == {here}
