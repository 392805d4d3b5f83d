"""Whether a cluster is there and takes our token, asked before Ray waits for it; no Ray is started."""

import socket
import time
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from rfe.errors import ConfigError
from rfe.search.cluster import check_reachable, cluster_address, connected_cluster, watched_head


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of something that answers as a cluster does that wants a token."""

    class Guarded(gcs_service_pb2_grpc.NodeInfoGcsServiceServicer):
        def GetClusterId(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: N802
            if dict(context.invocation_metadata()).get("authorization") != "Bearer right":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return gcs_service_pb2.GetClusterIdReply()

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(Guarded(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise AssertionError("Ray was asked")

    monkeypatch.setattr("ray.init", init)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", r"asks for a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH .*get-auth-token"),
        ("wrong", r"RAY_AUTH_MODE is not set, so that none is sent; set RAY_AUTH_MODE=token\. A token that an earlier"),
    ],
)
def test_a_cluster_that_asks_for_a_token_says_how_to_send_it(
    guarded: str, token: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Before: 20 lines of Ray's and 20 s later "Failed to connect to Ray cluster", and "start one with `ray start`"."""
    from ray._raylet import AuthenticationTokenLoader

    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    AuthenticationTokenLoader.instance().reset_cache()
    try:
        with pytest.raises(ConfigError, match=said), connected_cluster(guarded, print, {}):
            pass
    finally:
        monkeypatch.undo()
        AuthenticationTokenLoader.instance().reset_cache()


def test_a_proxy_for_web_pages_is_not_asked_for_the_cluster(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigError, match="asks for a token"), connected_cluster(guarded, print, {}):
        pass


def test_local_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: a Ray without our limits was started, and taken for a cluster."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert cluster_address(None) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster_address(None) == "10.0.0.1:6379"
    assert cluster_address("local") is None


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:9", "no Ray cluster at '127.0.0.1:9'"), ("http://127.0.0.1:8265", "rfe submit --address")],
)
def test_an_address_without_a_cluster_is_a_sentence_at_once(address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_reachable(address)


def test_a_head_node_that_goes_and_returns_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself says nothing for a minute, and then ends the process."""
    monkeypatch.setattr("rfe.search.cluster.LOOK_S", 0.02)
    notes: list[str] = []

    def await_notes(n: int) -> None:
        deadline = time.monotonic() + 20
        while len(notes) < n and time.monotonic() < deadline:
            time.sleep(0.01)

    head = socket.create_server(("127.0.0.1", 0))
    port = head.getsockname()[1]
    with watched_head(f"127.0.0.1:{port}", notes.append):
        time.sleep(0.2)
        assert not notes
        head.close()
        await_notes(1)
        time.sleep(0.2)  # once is enough
        with socket.create_server(("127.0.0.1", port)):
            await_notes(2)
    first, second = notes
    assert f"127.0.0.1:{port}, does not answer; what finished is saved" in first
    assert second.endswith("answers again")
