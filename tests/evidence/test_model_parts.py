"""What the command line of the parts' evidence asks, and what each setting may be asked."""

from pathlib import Path

import pytest

from tests.evidence.run_model_parts import DESIGN, Question, read_questions
from tests.evidence.searched_sets import Place
from tests.unit.data.folders import make_folder
from tests.unit.data.test_design import draw_labels


def test_settings_and_folders_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, config = make_folder(tmp_path / "data"), tmp_path / "best.yaml"
    config.write_text("{}")
    given = ["--data", f"mine={folder}", "--data", f"other={folder}:{config}"]
    assert read_questions(given, Place(tiny=True)) == [
        Question("mine", folder, None, {"data.target_actors": "auto"}),
        Question("other", folder, None, str(config)),
    ]
    (known,) = read_questions(["simulated_mild"], Place(tiny=True))
    assert (known.name, known.base) == ("simulated_mild", {"data.target_actors": "known"})
    for wrong in (["hrad"], ["--data"], ["--data", "mine"], ["--data", f"mine={folder}:absent.yaml"]):
        with pytest.raises(SystemExit, match=r"unknown setting 'hrad'; use hard|--data takes NAME=FOLDER"):
            read_questions(wrong, Place(tiny=True))


def test_the_design_decoder_is_an_arm_where_the_data_allows_it(tmp_path: Path) -> None:
    planned, free = make_folder(tmp_path / "planned"), make_folder(tmp_path / "free", spoil=draw_labels)
    known = {"data.target_actors": "known"}
    assert DESIGN in Question("a", planned, None, known).plan(tiny=True)["components"]
    for one in (Question("a", free, None, known), Question("a", planned, None, {"data.target_actors": "unknown"})):
        assert DESIGN not in one.plan(tiny=True)["components"]
        assert one.why_no_design().startswith(f"{DESIGN}: ")
        assert str(tmp_path) not in one.why_no_design()  # no machine's place in a report
