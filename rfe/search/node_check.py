"""Before a search: whether every node of the cluster can open the data, and finds the same in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rfe.data.dataset import Dataset, load_dataset
from rfe.data.remote import is_uri, local_folder
from rfe.errors import DataError, RfeError
from rfe.search.session import Session
from rfe.secrets import redact_uri
from rfe.workspace import node_cache

ANSWER_S = 300.0
"""How long a node may take to open the data; a URI is fetched meanwhile."""


def check_nodes(session: Session, dataset: Dataset, source: str, encoders: tuple[str, ...] | None, cache: Path) -> None:
    """Have every other node that workers may come to open the data. Nodes that join later are not asked.

    Args:
        session: whose cluster; a local one has the driver's node only.
        dataset: as the driver reads it.
        source, encoders: path or URI of the data, and the encoders taken of it.
        cache: where a node keeps what it fetches.

    Raises:
        DataError: a node cannot open it, or has other data under the same path; names each such node.
    """
    if session.local:
        return
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != session.here and _may_train(node)]
    asked = {
        node["NodeManagerAddress"]: _open_data.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(source, encoders, str(cache))
        for node in others
    }
    answers: dict[str, str] = {}
    for address, answer in asked.items():
        try:
            fingerprint, fault = ray.get(answer, timeout=ANSWER_S)
        except GetTimeoutError:
            fault = f"no answer in {ANSWER_S:.0f} s"
        except RayError as error:  # a node that is lost meanwhile trains nothing
            fault = "" if "unschedulable" in str(error).lower() else str(error).strip().splitlines()[-1]
        else:
            fault = fault or ("" if fingerprint == dataset.fingerprint else "other data stands under that name there")
        if fault:
            answers[address] = fault
    if answers:
        raise DataError(_sentence(source, answers, len(others) + 1))


def _may_train(node: Mapping[str, Any]) -> bool:
    return bool(node["Resources"].get("CPU", 0) >= 1)


def _sentence(source: str, faults: Mapping[str, str], n_nodes: int) -> str:
    remedy = (
        "see that the credentials and the file system's package are on every node"
        if is_uri(source)
        else "put it under the same path on every node, or name it by a URI, which each node fetches"
    )
    listed = "; ".join(f"{address}: {fault}" for address, fault in sorted(faults.items()))
    return f"data {redact_uri(source)}: {len(faults)} of {n_nodes} nodes cannot open it ({listed}); {remedy}"


@ray.remote(max_retries=1)  # type: ignore[untyped-decorator]  # Ray is untyped
def _open_data(source: str, encoders: tuple[str, ...] | None, cache: str) -> tuple[str, str]:
    """(fingerprint, what is wrong)."""
    try:
        return load_dataset(local_folder(source, node_cache(Path(cache))), encoders).fingerprint, ""
    except (RfeError, OSError) as error:
        return "", str(error)
