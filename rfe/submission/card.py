"""The bundle's README: what it is, how good it is, what to beware of, in words made from the manifest."""

from collections.abc import Mapping
from typing import Any

SCORE_NAMES: dict[str, str] = {
    "score": "the trial's score in the search (optimistic for the best of many trials)",
    "score_confirmed": "mean over fresh seeds that the search never used",
    "score_confirmed_sd": "standard deviation over those seeds",
    "score_best": "the study's best trial (optimistic)",
    "score_selected": "the study's headline: for each fold the trial that is best on the other folds",
}
"""What each number of the manifest means; others are shown under their own name."""

ACTORS: dict[str | None, str] = {
    None: "Clips are standardised with the training clips' statistics; actors play no part.",
    "known": "Clips are standardised by their actor: new clips need a `video_id`.",
    "pseudo": "New clips are standardised by pseudo-actors, clusters in the identity space of the training actors.",
    "unknown": "New clips are standardised together, as one crowd of unknown actors.",
}
"""What the manifest's `target_actors` means for new clips."""


def describe_bundle(manifest: Mapping[str, Any], config_yaml: str) -> str:
    """Markdown for people; everything in it stands in the manifest too."""
    data, submission = manifest["data"], manifest["submission"]
    lines = [f"# Study {manifest['study']}, trial {manifest['trial']}", ""]
    lines += [f"> {caveat}" for caveat in data["caveats"]]
    if data["caveats"]:
        lines.append("")
    n_models = len(manifest["folds"]) * len(manifest["seeds"])
    lines += [
        f"A model of blended emotions on pre-extracted features: {n_models} fold models "
        f"({len(manifest['folds'])} folds x {len(manifest['seeds'])} seeds), trained on `{data['name']}` "
        f"({data['source_clips']} labelled clips).",
        "",
        "## Scores",
        "Out-of-fold (`crossfit`): nothing that is reported on a fold was chosen with that fold's labels.",
        "",
        "| score | value | what it is |",
        "|---|---|---|",
        *(f"| `{name}` | {value:.4f} | {SCORE_NAMES.get(name, name)} |" for name, value in manifest["scores"].items()),
        "",
        "## Submission",
    ]
    if submission is None:
        lines.append(manifest["no_submission"])
    else:
        lines += [
            f"`submission.zip` answers {submission['clips']} target clips; {submission['blends']} of the answers are "
            "blends. " + manifest["preview"],
        ]
    lines += [
        "",
        "## Use",
        "- `rfe verify BUNDLE` checks hashes, weights and the submission's form.",
        "- `rfe train BUNDLE/config.yaml --data DIR` trains the configuration again.",
        f"- {ACTORS[data['target_actors']]}",
        "",
        "## Configuration",
        "```yaml",
        config_yaml.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)
