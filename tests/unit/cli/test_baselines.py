"""`rfe baselines`: what it prints below its table."""

from types import SimpleNamespace

import pytest

from tests.unit.cli.invoke import invoke


@pytest.mark.parametrize("protocols", [["crossfit"], ["official"], ["crossfit", "official"]], ids="+".join)
def test_only_protocols_of_the_table_are_explained(protocols: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    score = SimpleNamespace(score=0.2, acc_presence=0.3, acc_salience=0.1)
    rows = [
        SimpleNamespace(
            name="concat_mlp",
            protocol=one,
            selected=score,
            best=score,
            confirmed=score if one == "crossfit" else None,
            n_candidates=4,
        )
        for one in protocols
    ]
    monkeypatch.setattr("rfe.api.baselines", lambda *given, **options: rows)
    said = invoke("baselines", "--data", ".").stdout
    assert ("selected: each fold" in said) == ("crossfit" in protocols)
    assert ("confirmed: the best candidate trained again" in said) == ("crossfit" in protocols)
    assert ("thresholds and epoch are chosen on the reported fold" in said) == ("official" in protocols)
