from pathlib import Path

import pytest

from rfe.errors import ConfigError
from rfe.tracking.mlflow_server import MlflowServer


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mysql+nosuchdriver://u:secret@db/x", "nosuchdriver"),
        ("mysql+mysqldb://u:secret@db/x", "MySQLdb is not installed here; pip install MySQLdb"),
        ("postgresql+psycopg2://u:secret@db/x", "psycopg2 is not installed here; pip install '.[postgres]' in /"),
    ],
)
def test_a_database_without_its_driver_is_refused_at_once(uri: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        MlflowServer(uri, tmp_path)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
