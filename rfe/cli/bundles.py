"""`rfe export`, `rfe verify` and `rfe predict`: a bundle, whether it is whole, and what it answers."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_result, complete_trial
from rfe.cli.options import AsJson, Data, DataOrKnown
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, short_path, typed_path
from rfe.errors import ConfigError
from rfe.suggestions import unknown


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(epilog="Example: rfe export everything -o my-bundle")(export)
    app.command(epilog="Example: rfe verify my-bundle --data my-data")(verify)
    app.command(epilog="Example: rfe predict my-bundle --data new-clips -o answers")(predict)


@command
def export(
    settings: Settings,
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|ENSEMBLE",
            show_default=False,
            autocompletion=complete_result,
            help="Name of the study or ensemble.",
        ),
    ],
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            show_default=False,
            autocompletion=complete_trial,
            help="Which trial of a study; default: the best.",
        ),
    ] = None,
    models: Annotated[
        str, typer.Option(help="final: trained on all clips. folds: the cross-validation's own.")
    ] = api.DEFAULT_MODELS,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="final: models a configuration; default: as in its outputs."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", show_default=False, help="A folder, or an archive NAME.zip."),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Also register it as an MLflow model and move the alias champion to it.")
    ] = False,
    model_name: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", show_default=False, help="Its registered name; default: the study's or ensemble's."
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign", metavar="KEY", show_default=False, help="A private key (PEM); the signature is written beside."
        ),
    ] = None,
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Write the bundle of an ensemble, or of a study's best model: configurations, weights, decoder, submission."""
    from rfe.submission.layout import ModelKind

    if models not in get_args(ModelKind):
        raise ConfigError(f"--models: {unknown('kind of model', models, get_args(ModelKind))}")
    if model_name is not None and not register:
        raise ConfigError(f"--model-name {model_name}: is for a model that is registered; add --register")
    workspace = settings.workspace()
    with settings.progress() as progress:
        bundle = api.export(
            name,
            data,
            trial=trial,
            models=models,  # type: ignore[arg-type]
            seeds=seeds,
            output=output,
            sign=sign,
            workspace=workspace,
            progress=progress,
        )
    manifest = api.verify(bundle)
    registered = api.register(bundle, model_name or name, workspace=workspace) if register else None
    if as_json:
        print_json({"bundle": bundle, "manifest": manifest, "registered": registered})
        return
    print_heading(f"bundle: {short_path(bundle)}")
    print_manifest(manifest)
    if registered is not None:
        print_lines(f"registered in MLflow: {registered.uri}, which is version {registered.version}")
    print_lines(f"next: rfe predict {typed_path(bundle)} --data DIR")


@command
def verify(
    settings: Settings,
    path: Annotated[
        Path,
        typer.Argument(metavar="BUNDLE", show_default=False, help="A bundle, folder or archive, or a submission file."),
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="PATH", show_default=False, help="A data folder, or a CSV file of clips."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="PUB", show_default=False, help="The signer's public key (PEM)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, or a submission on its own; with --data also that every target clip is answered."""
    found = api.verify(path, data, key=key)
    if as_json:
        print_json(found)
    elif "format" in found:
        signed = f", signed by {key}" if key is not None else ""
        print_heading(f"{path}: whole, {len(found['files'])} files{signed}")
        print_manifest(found)
    else:
        print_lines(f"{path}: a valid submission of {found['clips']} clips")


@command
def predict(
    settings: Settings,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", show_default=False, help="A bundle, folder or archive.")],
    data: Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="A folder for table and submission, or a table NAME.csv."),
    ] = Path("predictions"),
    as_json: AsJson = False,
) -> None:
    """Answer the clips of a data folder, with or without labels; needs neither Ray nor MLflow."""
    answered = api.predict(bundle, data)
    files = api.write_predictions(answered, output)
    if as_json:
        print_json({**answered.to_dict(), "files": [str(path) for path in files]})
        return
    print_heading(f"{answered.bundle}: {len(answered.prediction.filename)} clips answered")
    print_lines(*(f"caveat: {sentence}" for sentence in answered.caveats))
    print_lines(*(f"note: {sentence}" for sentence in answered.prediction.notes))
    print_lines(*(f"written: {short_path(path)}" for path in files))


def print_manifest(manifest: dict[str, object]) -> None:
    """What a manifest says, without its hashes."""
    shown = {name: value for name, value in manifest.items() if isinstance(value, str | int | float | list)}
    task = manifest.get("task")
    if isinstance(task, dict):
        shown["task"] = f"{task['name']}, {len(task['classes'])} classes, {len(task['blends'])} pairs"
    members = manifest.get("members")
    if isinstance(members, list):
        shown["members"] = [
            f"{one['study']} {one['trial']}" + f" ({one['weight']:.3f})" * ("weight" in one) for one in members
        ]
    print_settings({name: value for name, value in shown.items() if value not in ("", [])})
