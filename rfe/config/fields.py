"""The configuration's fields by dotted name: what each takes, and which known name an unknown one is nearest to."""

import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rfe.config.reading import describe_value
from rfe.config.schema import Config, Words
from rfe.suggestions import nearest, unknown


def _leaves(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= _leaves(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


FIELDS: dict[str, FieldInfo] = _leaves(Config)
"""Dotted name -> field, for every field of a configuration, in the schema's order."""

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(name.rsplit(".", 1)[0] for name in FIELDS if "." in name))
"""Dotted names of the sections, `model` and `model.gate` alike."""

MAP_FIELDS: tuple[str, ...] = tuple(
    name for name, field in FIELDS.items() if any(get_origin(option) is dict for option in get_args(field.annotation))
)
"""Fields that take one value, or a map by encoder: `data.standardize.ENCODER` names one entry."""


def locate(name: str) -> tuple[str, str | None] | None:
    """(field, None) of a field's dotted name, (field, encoder) of a map's entry, None of an unknown name."""
    if name in FIELDS:
        return name, None
    for field in MAP_FIELDS:
        if name.startswith(field + ".") and len(name) > len(field) + 1:
            return field, name[len(field) + 1 :]
    return None


SEARCH_SETTINGS: tuple[str, ...] = (
    *(
        "study",
        "base",
        "space",
        "arms",
        "first_trials",
        "objective",
        "sampler",
        "pruner",
        "budget",
        "confirm",
        "limits",
    ),
    *("cohort", "keep_top", "keep_arms", "storage", "notify", "data.path", "data.encoders"),
)
"""What a search space has beside the fields of a configuration. (`data` is a section of both.)"""


def unknown_field(name: str) -> str:
    """A sentence on a name that is no field of a configuration; what a search space has at its top is sent there."""
    if not any(name == one or name.startswith(f"{one}.") for one in SEARCH_SETTINGS):
        return unknown("field", name, [*FIELDS, *SECTIONS])
    top, _, rest = name.partition(".")
    line = f"{top}: {{{rest}: ...}}" if rest else f"{top}: ..."
    pool = "; pool names the encoders that a configuration uses" if name == "data.encoders" else ""
    return (
        f"unknown field {name!r}; it is no field of a configuration but a search's: write {line} at the top of the "
        f"search space, or --set {name}=... with rfe search{pool}"
    )


def check_value(name: str, value: Any) -> str | None:
    """A sentence on why the field called `name` cannot take `value`; None if it can. `name` must be known.

    The field alone is looked at; what it goes with is the whole configuration's matter.
    """
    located = locate(name)
    if located is None:
        return unknown_field(name)
    field, entry = located
    if entry is not None:
        if value is None and check_value(field, None) is None:
            return None  # an entry that is left out
        reason = check_value(field, {entry: value})
        return None if reason is None else reason.replace(describe_value({entry: value}), describe_value(value), 1)
    problems = problems_of(Config, nest_names({field: value}), cross_checks=False)
    return None if not problems else problems[0].split(": ", 1)[1]


def nest_names(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 1} -> {"train": {"lr": 1}}; names must be fields of the schema."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, last = name.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return nested


def first_problem(error: ValidationError) -> str:
    """What keeps a file that only programs write from being read, and where: `arms.0.name: Field required`."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


QUOTE_TEXT = "; put quotes around text that looks like a number (in a shell: --set \"NAME='TEXT'\")"


def problems_of(model: type[BaseModel], value: Any, cross_checks: bool = True) -> list[str]:
    """Sentences, each beginning with its field's dotted name, on everything that keeps `value` from being a `model`.

    Args:
        model: the schema.
        value: what was read, by nested field name.
        cross_checks: also checks of the whole (between fields), which have no field's name.
    """
    try:
        model.model_validate(value)
    except ValidationError as error:
        sentences: dict[str, str] = {}  # one for each field: a union reports once for each of its forms
        for one in error.errors(include_url=False):
            path, annotation, metadata, given = _find(model, one["loc"], value)
            if one["type"] == "value_error":
                text = str(one["msg"]).removeprefix("Value error, ")
                if path or cross_checks:
                    sentences[f"{path} {text}"] = f"{path}: {text}" if path else text
            elif one["type"] == "extra_forbidden":
                parent, _, name = path.rpartition(".")
                known = _names_of(annotation)
                everywhere = (
                    list(_leaves(model))
                    if nearest(name, known) is None
                    else [f"{parent}.{sibling}" if parent else sibling for sibling in known]
                )
                sentences[path] = f"{path}: {unknown('field', path, everywhere)}"
            elif one["type"] == "missing":
                sentences[path] = f"{path}: is missing; it must be {describe_type(annotation, metadata)}"
            else:
                guess = _guess(annotation, given)
                hint = f"; did you mean {guess}?" if guess else _quote_hint(annotation, given)
                sentences[path] = (
                    f"{path}: {describe_value(given)} is not allowed; it must be {describe_type(annotation, metadata)}"
                    + hint
                )
        return list(sentences.values())
    return []


def describe_type(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What a field takes, in words: "a whole number of at least 1, or 'all'"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    metadata = list(metadata)
    for part in metadata:
        if isinstance(part, Words):
            return part.text
    if origin is Annotated:
        inner = [part for extra in arguments[1:] for part in getattr(extra, "metadata", [extra])]
        return describe_type(arguments[0], [*inner, *metadata])
    if origin in (Union, types.UnionType):
        forms = [describe_type(option, metadata) for option in arguments]
        if forms[-1] == "null" and forms[-2].endswith(" null"):  # a list of what may be null
            forms.pop()
        return ", or ".join(forms)
    if origin is Literal:
        options = ", ".join(str(option) for option in arguments)
        return f"one of {options}" if len(arguments) > 1 else repr(arguments[0])
    if origin is list:
        least = [f" of at least {part.min_length}" for part in metadata if getattr(part, "min_length", None)]
        return f"a list{''.join(least)}, each {describe_type(arguments[0])}"
    if origin is dict:
        return "a map" if arguments[1] is Any else f"a map from name to {describe_type(arguments[1])}"
    if annotation is type(None) or annotation is None:
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a map with the fields {', '.join(_names_of(annotation))}"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    bounds = [
        f"{word} {getattr(part, bound)}"
        for part in metadata
        for bound, word in (("ge", "of at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
        if annotation in (int, float) and getattr(part, bound, None) is not None
    ]
    return " ".join([words.get(annotation, "a plain value"), " and ".join(bounds)]).strip()


def _find(model: type[BaseModel], loc: tuple[int | str, ...], value: Any) -> tuple[str, Any, list[Any], Any]:
    """(dotted name, annotation, metadata, value given) of the field an error's location is in.

    Of an unknown field, the annotation is the model it was looked for in. What follows the field in `loc` (a union's
    form, a list's index) is left out.
    """
    path: list[str] = []
    annotation: Any = model
    metadata: list[Any] = []
    for part in loc:
        annotation = _optional_model(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            path.append(str(part))
            value = value.get(part) if isinstance(value, Mapping) else None
            if part not in fields:
                break
            annotation, metadata = fields[str(part)].annotation, list(fields[str(part)].metadata)
        elif get_origin(annotation) is dict and _is_model(get_args(annotation)[1]) and isinstance(value, Mapping):
            path.append(str(part))
            value, annotation, metadata = value.get(part), get_args(annotation)[1], []
        else:
            break
    return ".".join(path), annotation, metadata, value


def _optional_model(annotation: Any) -> Any:
    """The model of a section that may be null; anything else as it is."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    options = [one for one in get_args(annotation) if one is not type(None)]
    return options[0] if len(options) == 1 and _is_model(options[0]) else annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _names_of(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _quote_hint(annotation: Any, given: Any) -> str:
    """What to do about a number in the place of text."""
    parts = given if isinstance(given, list) else [given]
    return QUOTE_TEXT if any(isinstance(one, int | float) for one in parts) and _takes_text(annotation) else ""


def _takes_text(annotation: Any) -> bool:
    """Whether a field accepts free text, alone or in a list."""
    return annotation is str or (get_origin(annotation) is not dict and any(map(_takes_text, get_args(annotation))))


def _guess(annotation: Any, given: Any) -> str | None:
    """The word of a choice that a misspelt one is nearest to."""
    options = [annotation, *get_args(annotation)] if get_origin(annotation) is not Literal else [annotation]
    words = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    if not isinstance(given, str):
        return None
    close = difflib.get_close_matches(given, [str(word) for word in words], 1, 0.6)
    return close[0] if close else None
