"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from rfe.cli.completion import complete_field, complete_study

Data = Annotated[str, typer.Option("--data", "-d", metavar="DIR", help="The data folder.", show_default=False)]
DataOrKnown = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", metavar="DIR", show_default=False, help="The data folder, if the study does not record it."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        show_default=False,
        autocompletion=complete_field,
        help="Fix a field, e.g. train.epochs=30; repeatable.",
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="NAME", show_default=False, autocompletion=complete_study, help="Name of the study."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, show_default=False, help="Number of workers; default: one per GPU, else per core up to 4."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="A", show_default=False, help="A Ray cluster: RAY_ADDRESS, else a local Ray is started."
    ),
]
Trials = Annotated[
    int | None, typer.Option(min=1, show_default=False, help="Size of the study, earlier trials included.")
]
Hours = Annotated[float | None, typer.Option(show_default=False, help="Time to search, added up over resumes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", show_default=False, help="Where to write.")
]
Study = Annotated[
    str,
    typer.Argument(metavar="STUDY", show_default=False, autocompletion=complete_study, help="Name of the study."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        show_default=False,
        help="The MLflow that the search logs to, e.g. http://host:5000.",
    ),
]
Dashboard = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        show_default=False,
        help="The cluster's dashboard: RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265.",
    ),
]
