"""JSON Schema of what is written in YAML, for editors: made from the same models that check it.

A document refers to each of the configuration's fields by `#/$defs/NAME`, so that every place in which a field may
stand, nested or dotted, knows its values.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from rfe.config.fields import FIELDS, MAP_FIELDS, SECTIONS
from rfe.config.schema import Config

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
CONFIG = "configuration"
"""Name of the whole configuration's definition."""
_KEPT = ("description", "default")


def config_schema() -> Schema:
    """Of a configuration's file."""
    return {"$schema": DIALECT, "title": "A configuration of rfe", "$defs": field_definitions(), **refer(CONFIG)}


def model_schema(
    model: type[BaseModel], title: str, parts: Mapping[str, Schema] | None = None, **definitions: Schema
) -> Schema:
    """Of a file that a model reads.

    Args:
        model: the model; each field is described by the docstring below it.
        title: of the document.
        parts: field -> what replaces its schema, where the model says less than is known.
        definitions: further ones that `parts` refer to; those of the configuration's fields are there.
    """
    schema = model.model_json_schema(by_alias=True)
    for name, part in (parts or {}).items():
        former = schema["properties"][name]
        schema["properties"][name] = {**part, **{key: former[key] for key in _KEPT if key in former}}
    known = {**definitions, **field_definitions()} if parts else definitions
    return {
        "$schema": DIALECT,
        **_untitled(schema),
        "title": title,
        "$defs": {**_untitled(schema.get("$defs", {})), **known},
    }


def refer(name: str) -> Schema:
    """A reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def field_schemas(value: Callable[[str], Schema], *, nested: bool = False, prefix: str = "") -> Schema:
    """A map from a field's dotted name to `value` of it; entries of a map by encoder count as fields.

    Args:
        value: schema of a field, or of an entry (`NAME.*`).
        nested: whether sections may be maps in the map.
        prefix: what is left out of the names; only fields that begin with it are in the map.
    """
    sections = {
        name.removeprefix(prefix): field_schemas(value, nested=True, prefix=f"{name}.")
        for name in SECTIONS
        if nested and name.startswith(prefix)
    }
    fields = {name.removeprefix(prefix): value(name) for name in FIELDS if name.startswith(prefix)}
    entries = {
        _entries(name.removeprefix(prefix)): value(_entry(name)) for name in MAP_FIELDS if name.startswith(prefix)
    }
    return {
        "type": "object",
        "properties": sections | fields,
        **({"patternProperties": entries} if entries else {}),
        "additionalProperties": False,
    }


def field_definitions() -> dict[str, Schema]:
    """Each field under its dotted name, an entry of a map by encoder as `NAME.*`, and the whole configuration."""
    schema = Config.model_json_schema()
    found: dict[str, Schema] = {}
    for name in FIELDS:
        one: Schema = schema
        for part in name.split("."):
            one = schema["$defs"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one
            one = one["properties"][part]
        found[name] = {**_untitled(one), "title": name}
    for name in MAP_FIELDS:
        [by_encoder] = [one for one in found[name]["anyOf"] if "additionalProperties" in one]
        found[_entry(name)] = {**by_encoder["additionalProperties"], "title": f"{name} of one encoder"}
    return found | {CONFIG: field_schemas(refer, nested=True)}


def _entry(name: str) -> str:
    return f"{name}.*"


def _entries(name: str) -> str:
    return f"^{name}\\..+$".replace(".", r"\.", name.count("."))


def _untitled(schema: Any, names: bool = False) -> Any:
    """Without pydantic's titles, which are the names once more.

    Args:
        schema: or a part of it.
        names: whether the keys are names of fields, of which one may be called `title`.
    """
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _untitled(value, key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or key != "title"
    }
