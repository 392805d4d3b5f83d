"""JSON Schema of a search space's file: every field by its dotted name, with the values that it can take."""

from rfe.config.fields import FIELDS
from rfe.config.json_schema import CONFIG, Schema, field_definitions, field_schemas, model_schema, refer
from rfe.search_space.schema import DimensionSpec, SearchSpace

POOL_ONLY = ("subset", "min_size")
FORMS = ("int", "float", "choice")


def space_schema() -> Schema:
    """Of a search space.

    Examples:
        >>> sorted(space_schema()["properties"])[:4]
        ['arms', 'base', 'budget', 'cohort']
    """
    parts = {
        "base": refer(CONFIG),
        "space": searched_fields(),
        "first_trials": {"type": "array", "items": field_schemas(refer)},
        "arms": {"type": "object", "additionalProperties": field_schemas(refer)},
    }
    return model_schema(SearchSpace, "A search space of rfe", parts, **searched_definitions())


def searched_fields() -> Schema:
    """Lines as under `space`; refers to `searched_definitions`."""
    return field_schemas(lambda name: refer(_searched(name)), nested=True)


def searched_definitions() -> dict[str, Schema]:
    """How each field is searched: ranges within its bounds, choices among its values."""
    given = DimensionSpec.model_json_schema(by_alias=True)["properties"]
    conditions = field_schemas(lambda name: {"anyOf": [refer(name), {"type": "array", "items": refer(name)}]})
    del conditions["properties"]["pool"]
    shared = {name: one for name, one in given.items() if name not in (*POOL_ONLY, *FORMS)}
    shared["when"] = {**conditions, "description": given["when"]["description"]}
    pool = {
        "type": "object",
        "description": _describe("pool"),
        "properties": {name: given[name] for name in POOL_ONLY},
        "required": ["subset"],
        "additionalProperties": False,
    }

    def dimension(name: str) -> Schema:
        # a range's ends and a choice's values are values of the field
        forms = {
            form: {**option, "items": refer(name), "description": given[form].get("description", "One of these.")}
            for form in FORMS
            for option in given[form]["anyOf"]
            if option.get("type") == "array"
        }
        return {
            "type": "object",
            "description": _describe(name),
            "properties": {**forms, **{option: refer(_searched(option)) for option in shared}},
            "additionalProperties": False,
            "oneOf": [{"required": [form]} for form in FORMS],
        }

    names = [name for name in field_definitions() if name != CONFIG]
    found = {name: pool if name == "pool" else dimension(name) for name in names}
    return {_searched(name): one for name, one in (shared | found).items()}


def _searched(name: str) -> str:
    return f"search:{name}"


def _describe(name: str) -> str:
    """What the configuration's schema says of the field, in one line; its name where it says nothing."""
    field = FIELDS.get(name)
    return name if field is None or not field.description else " ".join(field.description.split())
