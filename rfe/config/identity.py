"""The identity of a configuration: equal for configurations that train the same model to the same result."""

import hashlib
import json

from rfe.config.load import flatten
from rfe.config.schema import Config, DecodeSection


def config_id(config: Config) -> str:
    """12 hex digits of the hash of all fields, sorted by name.

    Every field of the schema defines the result (devices, paths and worker counts are no fields of it). Give it an
    *effective* configuration (`rfe.search_space.effective`), so that fields without effect do not tell equals apart.
    """
    text = json.dumps(flatten(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def trained_id(config: Config) -> str:
    """Identity of what is trained: protocol and decoder play no part in it."""
    return config_id(config.model_copy(update={"decode": DecodeSection(), "protocol": "crossfit"}))
