"""`rfe studies note, tag, archive`: what people say of a study."""

from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson, Study
from rfe.cli.output import print_json, print_lines


def register(group: typer.Typer) -> None:
    """Add the commands to `rfe studies`."""
    group.command(epilog='Example: rfe studies note demo "baseline of the paper"')(note)
    group.command(epilog="Example: rfe studies tag demo paper gpu")(tag)
    group.command(epilog="Example: rfe studies archive demo")(archive)


@command
def note(
    settings: Settings,
    study: Study,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help='In quotes; "" removes the note.')],
    as_json: AsJson = False,
) -> None:
    """Replace a study's note. Lists, `show` and MLflow show it; a running search is not disturbed."""
    _say(api.note_study(study, text, settings.workspace()), as_json)


@command
def tag(
    settings: Settings,
    study: Study,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", show_default=False, help="Words without blanks.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add tags to a study, by which `rfe studies list --tag` and MLflow find it; a running search is not disturbed."""
    _say(api.tag_study(study, tags, settings.workspace(), remove=remove), as_json)


@command
def archive(
    settings: Settings,
    study: Study,
    undo: Annotated[bool, typer.Option("--undo", help="Show the study in lists again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hide a study from `rfe studies list`. Nothing is moved or deleted."""
    _say(api.archive_study(study, settings.workspace(), undo=undo), as_json)


def _say(study: api.AnnotatedStudy, as_json: bool) -> None:
    if as_json:
        print_json(study.to_dict())
        return
    archived = "; archived: `rfe studies list --archived` lists it" if study.archived else ""
    print_lines(f"study {study.study}: {', '.join(study.tags) or 'no tags'}{archived}")
    if study.note:
        print_lines(study.note)
    if study.left:
        print_lines(study.left)
