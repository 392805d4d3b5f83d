"""Builds the bundle's model card from the manifest: what the model is, its scores, and caveats."""

from collections.abc import Mapping
from typing import Any

from rfe.submission.form import bundle_task
from rfe.submission.layout import MANIFEST
from rfe.submission.manifest import title
from rfe.submission.writers import writer_of
from rfe.task import BLEMORE, Task

SCORE_NAMES: dict[str, str] = {
    "score_crossfit": "this configuration, each fold answered without its labels, mean over its seeds",
    "acc_presence_crossfit": "presence accuracy, same protocol",
    "acc_salience_crossfit": "salience accuracy, same protocol",
    "score": "the trial's score in the search (optimistic for the best of many trials)",
    "score_confirmed": "mean over fresh seeds that the search never used",
    "score_confirmed_sd": "standard deviation over those seeds",
    "score_best": "the study's best trial (optimistic)",
    "score_selected": "the study's headline: for each fold the trial that is best on the other folds",
    "score_nested": "the ensemble, each fold answered by what was chosen without its labels",
    "acc_presence_nested": "presence accuracy, same protocol",
    "acc_salience_nested": "salience accuracy, same protocol",
    "score_in_sample": "the members on the very clips they were chosen by: no estimate for new clips",
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


METRIC_WORDS: dict[str, str] = {
    "blemore": "The challenge's Score: mean of presence and salience accuracy.",
    "accuracy": "Score is the share of clips whose set of classes is answered exactly.",
    "macro_f1": "Score is the mean over the sets of classes of F1, the harmonic mean of precision and recall.",
    "salience_mae": "Score is made of the mean absolute error of the answered saliences.",
}
"""What Score is, by the task's metric."""

TRANSDUCTIVE_CARD = (
    "**Transductive**: all clips of an actor are answered together, each state as often as by the training actors' "
    "design. New clips need a `video_id`, and all clips of each actor; single clips cannot be answered."
)
MODELS: dict[str, str] = {
    "folds": "The models are the cross-validation's own: each was trained without one fold's actors.",
    "final": (
        "The models were trained on all labelled clips, for the folds' number of optimiser steps scaled by the clips; "
        "no clip is left to score them on, so the scores are those of the cross-validation's models. How both compare "
        "on actors that neither saw: `reports/evidence/final_models`."
    ),
}


def describe_bundle(manifest: Mapping[str, Any], config_yaml: str) -> str:
    """Return the card as Markdown; everything in it is in the manifest too.

    Args:
        manifest: of the bundle.
        config_yaml: configuration of the member with the largest weight.
    """
    data, submission, members = manifest["data"], manifest["submission"], manifest["members"]
    task = bundle_task(manifest, MANIFEST)
    name = title(manifest)
    lines = [f"# {name[:1].upper()}{name[1:]}", ""]
    lines += [f"> {caveat}" for caveat in data["caveats"]]
    if data["caveats"]:
        lines.append("")
    n_models = sum(len(one["folds"]) * len(one["seeds"]) for one in members)
    of = "one configuration" if len(members) == 1 else f"{len(members)} configurations"
    kind = "models" if manifest["models"] == "final" else "fold models"
    lines += [
        f"A predictor of {_subject(task)} on pre-extracted features: {n_models} {kind} of {of}, trained on "
        f"`{data['name']}` ({data['source_clips']} labelled clips, fingerprint `{data['fingerprint']}`).",
        "",
        *([TRANSDUCTIVE_CARD, ""] if manifest.get("transductive") else []),
        "## Scores" + (" (transductive)" if manifest.get("transductive") else ""),
        "| score | value | definition |",
        "|---|---|---|",
        *(
            f"| `{score}` | {_value(score, manifest['scores'])} | {SCORE_NAMES.get(score, score)} |"
            for score in manifest["scores"]
            if not score.endswith(("_low", "_high"))
        ),
        "",
        "In brackets: 95% intervals over actors, which take the training sets as given.",
        "",
        "## Protocol",
        "- Cross-validation over actors (`crossfit`): nothing that is reported on a fold was chosen with that fold's "
        f"labels, but for what is called optimistic. {METRIC_WORDS[task.metric]}",
        f"- {MODELS[manifest['models']]}",
        "- Choosing the best of many trials flatters its own score; `score_selected`, `score_nested` and fresh seeds "
        "(`score_confirmed`) are the numbers to quote.",
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
            f"`{writer_of(task).names[-1]}` answers {submission['clips']} target clips; {submission['blends']} of the "
            "answers are blends. " + manifest["answered_by"],
        ]
    lines += [
        "",
        "## Caveats",
        *(f"- {caveat}" for caveat in data["caveats"]),
        *(f"- {ACTORS[mode]}" for mode in data["target_actors"] or [None]),
        "- Scores are those of held-out actors of the training recordings; other recordings, cameras or languages may "
        "score lower, and nothing here measures how much.",
        "- Probabilities are calibrated on the training actors.",
        "",
        "## Intended use",
        "Research on how emotions are expressed and blended in acted recordings like those it was trained on.",
        "",
        "## Out of scope",
        "Decisions about people, of any kind: it says what an actor meant to show, not what anyone feels. Recordings "
        "that are not acted, and people who did not agree to be recorded for this.",
        "",
        "## How to use it",
        "- `rfe verify BUNDLE` checks hashes, weights and the submission's form.",
        "- `rfe predict BUNDLE --data DIR` answers the clips of a data folder; it needs neither Ray nor MLflow.",
        "- `rfe train BUNDLE/config.yaml --data DIR` trains the (heaviest) configuration again.",
        "",
        "## Configuration" + (" of the heaviest member" if len(members) > 1 else ""),
        "```yaml",
        config_yaml.rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _subject(task: Task) -> str:
    """What the models predict."""
    if task == BLEMORE:
        return "blended emotions"
    blends = f"{task.n_pairs} blends of two of them" if task.pairs else "no blends"
    return f"the task {task.name} ({task.n_classes} classes: {', '.join(task.class_names)}; {blends})"


def _value(score: str, scores: Mapping[str, float]) -> str:
    if f"{score}_low" not in scores:
        return f"{scores[score]:.4f}"
    return f"{scores[score]:.4f} [{scores[f'{score}_low']:.4f}, {scores[f'{score}_high']:.4f}]"
