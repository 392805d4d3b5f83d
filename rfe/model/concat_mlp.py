"""The organisers' baseline as a stack: one ReLU layer on all features, softmax, KL to the soft label.

Source: the BlEmoRE organisers' training (arXiv 2601.13225); missing encoders add nothing to the hidden layer.
"""

import torch
from torch import Tensor
from torch.nn import functional

from rfe.model.heads import linear
from rfe.model.projection import drop_out, project
from rfe.model.settings import ReplicaSettings
from rfe.model.stack import ModelOutput, Noise, StackedModel


class ConcatMlp(StackedModel):
    """A stack of baselines; arguments as `StackedModel`, `latent_dim` is the width of the hidden layer.

    A layer on concatenated features is the sum of one layer per encoder, which is how it is computed, so that replicas
    with different pools share a stack.
    """

    def _add_parameters(self) -> None:
        everyone = list(range(len(self.settings)))
        for encoder in range(len(self.names)):
            self._add_projection(encoder, everyone)
        self._add("hidden.bias", (self.latent_dim,), "zeros", everyone)
        self._add("output.weight", (self.latent_dim, self.task.n_classes), "linear", everyone)
        self._add("output.bias", (self.task.n_classes,), "zeros", everyone)

    def _settle(self, settings: list[ReplicaSettings]) -> None:
        super()._settle(settings)
        self.slots = [(0,)] * len(settings)  # one layer: the first encoder's numbers serve it

    def __call__(
        self,
        features: dict[int, Tensor],
        available: Tensor,
        noise: Noise,
        values: dict[str, Tensor] | None = None,
    ) -> ModelOutput:
        """Forward pass; see `StackedModel.__call__`. Both heads' logits are the one head's log-softmax."""
        value = values if values is not None else self.values()
        n_replicas, _, n_clips = available.shape
        hidden = value["hidden.bias"].unsqueeze(1).expand(n_replicas, n_clips, self.latent_dim)
        for encoder, name in enumerate(self.names):
            if encoder in features:
                weight = value[f"projection.{name}.weight"]
                added = project(features[encoder], weight, weight.new_zeros(weight.shape[0], weight.shape[2]))
                hidden = hidden.index_add(
                    0, self.parameters[f"projection.{name}.weight"].holders, added.to(hidden.dtype)
                )
        hidden = functional.relu(hidden)
        if noise.dropout is not None:
            hidden = drop_out(hidden.unsqueeze(1), noise.dropout).squeeze(1)
        logits = torch.log_softmax(linear(hidden, value["output.weight"], value["output.bias"]).float(), -1)
        none = logits.new_zeros(n_replicas, 0, n_clips)
        return ModelOutput(logits, logits, logits, logits, hidden, none, None)
