# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first study in a notebook
#
# From data to an ensemble, on a small simulated data set: about two minutes on two cores. Everything here is what the
# command line does too; here results are pandas tables.

# %%
from pathlib import Path

import rfe
from rfe.data.simulate import SimulationSpec

folder = rfe.api.simulate_data(SimulationSpec(actors=10, test_actors=3, clips_per_actor=18, seed=1), Path("sim"))
data = rfe.load_data(folder)
data

# %% [markdown]
# A data set is its clips, and a table of features for each encoder:

# %%
data.clips.head(3)

# %%
data.features("audio_strong").iloc[:3, :5]

# %% [markdown]
# ## Search
#
# A space is a YAML file, the name of a ready-made one, or a mapping such as this. The same call again goes on with the
# study; more `trials` make it larger.

# %%
space = {
    "study": "first",
    "base": {"model.latent_dim": 16, "train.epochs": 8, "train.batch_size": 128},
    "space": {
        "pool": {"subset": "all", "min_size": 2},
        "model.n_kept": {"int": [1, 6]},
        "model.gate.kind": {"choice": ["attention", "uniform"]},
        "train.lr": {"float": [1e-3, 2e-2], "log": True},
    },
    "confirm": {"top": 2, "seeds": 2},
}
study = rfe.search(space, data, trials=10)
study

# %% [markdown]
# Every trial is a row:

# %%
study.trials.sort_values("score", ascending=False)[["score", "confirmed", "model.n_kept", "train.lr"]].head()

# %%
study.trials.groupby("model.gate.kind")["score"].agg(["count", "mean", "max"])

# %% [markdown]
# ## What is a part worth?
#
# The best trial is the base; each arm differs from it in one thing. All are trained with the same fresh seeds on the
# same folds, and compared in pairs. On so little data nearly every verdict is `undecided`, and the table says what
# difference it could have found.

# %%
plan = {
    "name": "parts",
    "seeds": 3,
    "custom": {
        "all encoders alike": {"model.gate.kind": "uniform", "model.n_kept": "all"},
        "one encoder a clip": {"model.n_kept": 1},
    },
}
parts = rfe.ablate(plan, base=study)
parts

# %% [markdown]
# ## The final predictor
#
# An average of trials, chosen by their out-of-fold outputs. `score_nested` answers each fold by what was chosen
# without its labels.

# %%
final = rfe.ensemble(study, bags=5)
final

# %%
final.predict().head()

# %% [markdown]
# The bundle that is handed in: weights, decoder, checked submission, model card.

# %%
print(final.export("final.zip", progress=False).name)
rfe.predict("final.zip", data).equals(final.predict())
