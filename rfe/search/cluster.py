"""A Ray cluster by its address: whether it is there, whether it takes our token, and the connection to it."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rfe.errors import ConfigError
from rfe.search.interrupt import keep_handlers
from rfe.threads import BackgroundThread

REACH_S = 10.0
"""How long a cluster's port may take to answer."""
LOOK_S = 10.0
"""Seconds between two looks whether the cluster's head node is there."""


def cluster_address(given: str | None) -> str | None:
    """The cluster to use: `given`, else `RAY_ADDRESS`; None: a local Ray, also where it says `local` as Ray does."""
    address = given or os.environ.get("RAY_ADDRESS")
    return None if address in ("", "local") else address


def check_reachable(address: str) -> None:
    """Refuse an address where no cluster is: Ray itself looks for it for over a minute, and then ends the process.

    Raises:
        ConfigError: nothing answers at the address, or it is a dashboard's.
    """
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address}: is a dashboard, which takes jobs: use `rfe submit --address {address} -- "
            "search ...`, or name the cluster itself, HOST:6379"
        )
    if not _is_host_and_port(address):
        return
    try:
        _reach(address)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"no Ray cluster at {address!r} ({error}); start one with `ray start --head`, or leave --address out"
        ) from error


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()


@contextmanager
def connected_cluster(address: str, note: Callable[[str], None], arguments: dict[str, Any]) -> Iterator[None]:
    """The connection to the cluster at `address`, closed with the block.

    Args:
        address: of the cluster.
        note: told when its head node does not answer any more.
        arguments: of `ray.init`.

    Raises:
        ConfigError: there is no cluster, or it does not take our token.
    """
    import ray
    from ray.exceptions import AuthenticationError

    check_reachable(address)
    try:
        _check_token(address)
        with keep_handlers():
            ray.init(address=address, **arguments)
    except AuthenticationError as error:
        raise ConfigError(_ask_for_token(address)) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"no Ray cluster at {address!r} ({error}); start one with `ray start --head`, or leave --address out"
        ) from error
    try:
        with watched_head(ray.get_runtime_context().gcs_address, note):
            yield
    finally:
        ray.shutdown()


@contextmanager
def watched_head(address: str, note: Callable[[str], None]) -> Iterator[None]:
    """Report when the head node stops answering, and when it answers again.

    Ray itself retries silently for a minute and then ends the process.

    Args:
        address: HOST:PORT of the head node's control store.
        note: gets one sentence for each change.
    """

    def watch() -> None:
        away = False
        while not done.wait(LOOK_S):
            try:
                _reach(address)
            except OSError:
                if not away and not done.is_set():
                    note(
                        f"the head node of the Ray cluster, {address}, does not answer; what finished is saved. Ray "
                        "ends this process if it stays away for a minute; the same command then goes on, on any cluster"
                    )
                away = True
            else:
                if away:
                    note(f"the head node of the Ray cluster, {address}, answers again")
                away = False

    done = threading.Event()
    thread = BackgroundThread(target=watch, name="head")
    thread.start()
    try:
        yield
    finally:
        done.set()


def _check_token(address: str) -> None:
    """Ask the cluster who it is, as Ray does; Ray itself repeats this for 20 s, and then does not say that a token is
    what the cluster wants.

    Raises:
        AuthenticationError: the cluster wants another token, or one at all.
    """
    if not _is_host_and_port(address):
        return
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.gcs_service_pb2 import GetClusterIdRequest
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub
    from ray.exceptions import AuthenticationError

    # without the option gRPC would look for the cluster behind the proxy for web pages
    with init_grpc_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            NodeInfoGcsServiceStub(channel).GetClusterId(GetClusterIdRequest(), timeout=REACH_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                raise AuthenticationError(str(error.details())) from error


def _ask_for_token(address: str) -> str:
    """What to do about a cluster that does not take our token."""
    from ray._raylet import AuthenticationTokenLoader

    has_token = AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    source = "RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN)"
    if has_token and os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return (
            f"the Ray cluster at {address!r} asks for a token, and RAY_AUTH_MODE is not set, so that none is sent; set "
            "RAY_AUTH_MODE=token. A token that an earlier Ray left in ~/.ray/auth_token makes `ray start` ask for it: "
            "without that file, or with RAY_AUTH_MODE=disabled at its start, a cluster asks for none"
        )
    if has_token:
        return (
            f"the Ray cluster at {address!r} does not take this token; set {source} to the cluster's own, which "
            "`ray get-auth-token` shows on its head"
        )
    return (
        f"the Ray cluster at {address!r} asks for a token; set RAY_AUTH_MODE=token, and {source} to the cluster's own, "
        "which `ray get-auth-token` shows on its head"
    )


def _is_host_and_port(address: str) -> bool:
    _, colon, port = address.rpartition(":")
    return bool(colon) and "://" not in address and port.isdigit()
