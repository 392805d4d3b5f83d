"""The bundle's model card: what it is, how good it is, what to beware of, in words made from the manifest."""

from collections.abc import Mapping
from typing import Any

from rfe.submission.manifest import title

SCORE_NAMES: dict[str, str] = {
    "score": "the trial's score in the search (optimistic for the best of many trials)",
    "score_confirmed": "mean over fresh seeds that the search never used",
    "score_confirmed_sd": "standard deviation over those seeds",
    "score_best": "the study's best trial (optimistic)",
    "score_selected": "the study's headline: for each fold the trial that is best on the other folds",
    "score_nested": "the ensemble, each fold answered by what was chosen without its labels",
    "acc_presence_nested": "presence accuracy, likewise",
    "acc_salience_nested": "salience accuracy, likewise",
    "score_optimistic": "the members on the very clips they were chosen by (optimistic)",
    "score_single_nested": "the best single trial, chosen without each fold's labels",
    "difference_nested": "nested ensemble minus nested best single, paired by clip",
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
    """Markdown for people; everything in it stands in the manifest too.

    Args:
        manifest: of the bundle.
        config_yaml: configuration of the member with the largest weight.
    """
    data, submission, members = manifest["data"], manifest["submission"], manifest["members"]
    name = title(manifest)
    lines = [f"# {name[:1].upper()}{name[1:]}", ""]
    lines += [f"> {caveat}" for caveat in data["caveats"]]
    if data["caveats"]:
        lines.append("")
    n_models = sum(len(one["folds"]) * len(one["seeds"]) for one in members)
    of = "one configuration" if len(members) == 1 else f"{len(members)} configurations"
    lines += [
        f"A predictor of blended emotions on pre-extracted features: {n_models} fold models of {of}, trained on "
        f"`{data['name']}` ({data['source_clips']} labelled clips).",
        "",
        "## Scores",
        "Out-of-fold (`crossfit`): nothing that is reported on a fold was chosen with that fold's labels, but for what "
        "is called optimistic. Intervals are 95%, over actors.",
        "",
        "| score | value | what it is |",
        "|---|---|---|",
        *(
            f"| `{score}` | {_value(score, manifest['scores'])} | {SCORE_NAMES.get(score, score)} |"
            for score in manifest["scores"]
            if not score.endswith(("_low", "_high"))
        ),
        "",
    ]
    if len(members) > 1:
        lines += ["## Members", "", "| trial | weight | own score in the search (optimistic) |", "|---|---|---|"]
        lines += [f"| {one['study']}, {one['trial']} | {one['weight']:.3f} | {one['score']:.4f} |" for one in members]
        lines.append("")
    lines.append("## Submission")
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
        "- For research on how emotions are expressed and blended in acted recordings like those it was trained on. "
        "Not for decisions about people: it says what an actor meant to show, not what anyone feels.",
        "- `rfe verify BUNDLE` checks hashes, weights and the submission's form.",
        "- `rfe train BUNDLE/config.yaml --data DIR` trains the (heaviest) configuration again.",
        *(f"- {ACTORS[mode]}" for mode in data["target_actors"] or [None]),
        "",
        "## Configuration" + (" of the heaviest member" if len(members) > 1 else ""),
        "```yaml",
        config_yaml.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _value(score: str, scores: Mapping[str, float]) -> str:
    if f"{score}_low" not in scores:
        return f"{scores[score]:.4f}"
    return f"{scores[score]:.4f} [{scores[f'{score}_low']:.4f}, {scores[f'{score}_high']:.4f}]"
