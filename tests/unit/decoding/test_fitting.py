"""The decoder that a configuration names."""

import pytest

from rfe.decoding.decoupled import DecoupledDecoder
from rfe.decoding.fitting import build_decoder
from rfe.decoding.official import OfficialDecoder
from rfe.task import BLEMORE


@pytest.mark.parametrize("thresholds", ["grid", "exact"])
@pytest.mark.parametrize(("kind", "decoder_class"), [("official", OfficialDecoder), ("decoupled", DecoupledDecoder)])
def test_thresholds_are_set_as_the_configuration_says(kind: str, decoder_class: type, thresholds: str) -> None:
    """Each way is tested on its own; no other test noticed one in place of the other."""
    decoder = build_decoder(BLEMORE, kind, thresholds)
    assert isinstance(decoder, decoder_class)
    assert decoder.thresholds == thresholds
