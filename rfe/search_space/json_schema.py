"""JSON Schema of a search space's file: every field by its dotted name, with the values that it can take."""

from rfe.config.fields import FIELDS
from rfe.config.json_schema import CONFIG, Schema, field_definitions, field_values, model_schema, refer
from rfe.search_space.schema import SearchSpace

POOL_ONLY = ("subset", "min_size")
FORMS = ("int", "float", "choice")


def space_schema() -> Schema:
    """Of a search space."""
    given = SearchSpace.model_json_schema(by_alias=True)["$defs"]["DimensionSpec"]["properties"]
    conditions = field_values(lambda name: {"anyOf": [refer(name), {"type": "array", "items": refer(name)}]})
    del conditions["properties"]["pool"]
    shared = {name: one for name, one in given.items() if name not in (*POOL_ONLY, *FORMS)}
    shared["when"] = {**conditions, "description": given["when"]["description"]}

    subset = {
        "type": "object",
        "description": describe_field("pool"),
        "properties": {name: given[name] for name in POOL_ONLY},
        "required": ["subset"],
        "additionalProperties": False,
    }

    def dimension(name: str) -> Schema:
        if name == "pool":
            return subset
        # a range's ends and a choice's values are values of the field
        forms = {
            form: {**option, "items": refer(name), "description": given[form].get("description", "One of these.")}
            for form in FORMS
            for option in given[form]["anyOf"]
            if option.get("type") == "array"
        }
        return {
            "type": "object",
            "description": describe_field(name),
            "properties": {**forms, **{option: refer(_searched(option)) for option in shared}},
            "additionalProperties": False,
            "oneOf": [{"required": [form]} for form in FORMS],
        }

    parts = {
        "base": refer(CONFIG),
        "space": field_values(lambda name: refer(_searched(name)), nested=True),
        "first_trials": {"type": "array", "items": field_values(refer)},
        "arms": {"type": "object", "additionalProperties": field_values(refer)},
    }
    return model_schema(
        SearchSpace,
        "A search space of rfe",
        parts,
        **{_searched(name): dimension(name) for name in field_definitions() if name != CONFIG},
        **{_searched(name): one for name, one in shared.items()},
    )


def _searched(name: str) -> str:
    return f"search {name}"


def describe_field(name: str) -> str:
    """What the configuration's schema says of the field, in one line; its name where it says nothing."""
    field = FIELDS.get(name)
    return name if field is None or not field.description else " ".join(field.description.split())
