"""Shell completion: names of studies, trials, encoders, spaces and fields. Loads no heavy library.

`rfe --install-completion` sets it up. A completion never fails: what cannot be read is not offered.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from rfe.workspace import Workspace, open_workspace

Complete = Callable[[typer.Context, str], list[str]]
SUFFIXES = ("_static_features.npz", ".npz")
"""What follows an encoder's name in a data folder."""


def _completion(offer: Callable[[typer.Context], Iterable[str]]) -> Complete:
    """Return a completion function for typer, which keeps the candidates that start with the typed text."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return [one for one in offer(context) if one.startswith(incomplete)]
        except Exception:  # a shell has no use for our errors
            return []

    return complete


def _workspace(context: typer.Context) -> Workspace:
    given = context.params.get("workspace")
    return open_workspace(None if given is None else Path(given))


def _studies(context: typer.Context) -> Iterable[str]:
    return _workspace(context).study_names()


def _results(context: typer.Context) -> Iterable[str]:
    """Studies, and ensembles."""
    ensembles = _workspace(context).ensembles
    return [*_studies(context), *sorted(path.name for path in ensembles.glob("[!.]*") if path.is_dir())]


def _trials(context: typer.Context) -> Iterable[str]:
    return [str(int(folder.name)) for folder in _trial_folders(context)]


def _trials_or_confirmations(context: typer.Context) -> Iterator[str]:
    for folder in _trial_folders(context):
        yield str(int(folder.name))
        if (folder / "confirmed").is_dir():
            yield f"{int(folder.name)}:confirmed"


def _trial_folders(context: typer.Context) -> list[Path]:
    named = [context.params.get(name) for name in ("from_study", "study", "name")]
    # behind an option without its value, which is being completed, arguments are not given their names
    study = next(str(name) for name in [*named, *context.args] if name)
    folder = _workspace(context).study(study).path / "trials"
    return sorted(path for path in folder.glob("*") if path.name.isdecimal())


def _encoders(context: typer.Context) -> Iterable[str]:
    folder = Path(str(context.params["data"]))
    return sorted({_encoder_name(path.name) for path in folder.glob("*.npz")})


def _encoder_name(file: str) -> str:
    return next(file.removesuffix(suffix) for suffix in SUFFIXES if file.endswith(suffix))


def _spaces(context: typer.Context) -> Iterable[str]:
    from rfe.search_space.ready_made import ready_made

    return [name for name in ready_made() if "/" not in name] + _yaml_files()


def _configurations(context: typer.Context) -> Iterable[str]:
    from rfe.search_space.ready_made import ready_made

    return [name for name in ready_made() if name.startswith("baselines/")] + _yaml_files()


def _plans(context: typer.Context) -> Iterable[str]:
    from rfe.search_space.ready_made import ready_made

    names = [name.removeprefix("ablations/") for name in ready_made() if name.startswith("ablations/")]
    return names + _yaml_files()


def _yaml_files() -> list[str]:
    return sorted(path.name for path in Path().glob("*.y*ml"))


def _fields(context: typer.Context) -> Iterator[str]:
    """`train.lr=`, and each word that a field can be: `train.average=ema`."""
    from rfe.config.fields import FIELDS

    for name, field in FIELDS.items():
        words = _words(field.annotation)
        yield from (f"{name}={word}" for word in words) if words else (f"{name}=",)


def _words(annotation: Any) -> list[str]:
    """The words among a type's literals."""
    found: list[str] = []
    for argument in get_args(annotation):
        found += [argument] if isinstance(argument, str) else _words(argument)
    return found


def _kinds(context: typer.Context) -> Iterable[str]:
    from rfe.api.authoring import KINDS

    return KINDS


complete_study = _completion(_studies)
complete_result = _completion(_results)
complete_trial = _completion(_trials)
complete_trial_or_confirmation = _completion(_trials_or_confirmations)
complete_encoder = _completion(_encoders)
complete_space = _completion(_spaces)
complete_configuration = _completion(_configurations)
complete_plan = _completion(_plans)
complete_field = _completion(_fields)
complete_kind = _completion(_kinds)
