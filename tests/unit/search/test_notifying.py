"""People are told how a study goes, off the driver's thread, without secrets; and what fails there is one line."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.errors import ConfigError, StudyError, TrialError
from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.progress import SearchStatus
from rfe.search import notifying
from rfe.search.channels import AppriseChannel, CommandChannel, Message, open_channels
from rfe.search.notifying import Notifier, find_notify, keep_notified, prepare_notify
from rfe.search_space import load_space
from rfe.search_space.notify import Notify
from rfe.study import define_study, read_definition
from rfe.study.definition import write_definition
from rfe.tracking.live import LiveStatus
from rfe.workspace import StudyFolder
from rfe.writing import write_json
from tests.unit.tracking.logs import failed_log, study_folder, study_log, trial_log

TOKEN = "ghp_" + "a1B2" * 9
MESSAGE = Message("end", "s", "rfe: study s has finished", "1 complete\n")
SEARCHING = LiveStatus("x", "elsewhere", 1, 4e9, "search s", SearchStatus(20))
CONFIRMING = LiveStatus("x", "elsewhere", 1, 4e9, "confirm s", SearchStatus(20), done=3, total=9)


@dataclass
class Recorder:
    """A channel that keeps what it is told."""

    name: str = "recorder"
    why: str = ""
    told: list[Message] = field(default_factory=list)

    def send(self, message: Message, timeout_s: float) -> str:
        self.told.append(message)
        return self.why

    @property
    def titles(self) -> list[str]:
        return [one.title.removeprefix("rfe: study s ") for one in self.told]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    monkeypatch.setattr(notifying, "POLL_S", 1000.0)  # the tests look themselves
    return study_folder(tmp_path)


def notify(**given: Any) -> Notify:
    return Notify(**{"command": ["true"], "best_minutes": 0.0, **given})


def test_the_end_is_told_with_the_best_and_the_counts(folder: StudyFolder) -> None:
    recorder, notes = Recorder(), list[str]()
    with Journal(folder) as journal:
        journal.record_trial(trial_log(0, 0.3))  # of an earlier command
        time.sleep(0.01)
        with keep_notified(notify(), [recorder], folder, notes.append):
            journal.record_study(study_log())
            journal.record_trial(trial_log(1, 0.4))
            journal.record_trial(failed_log(2))
            journal.record_outcome(OutcomeLog("s", "finished"))
    assert recorder.titles == ["has a better trial", "has finished"]
    assert recorder.told[-1].text == "2 complete, 1 failed; best score 0.400 (trial 1), optimistic\n"
    assert recorder.told[-1].event == "end"
    assert notes == []


def test_an_error_is_told_as_a_failure_without_its_secrets(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "k3y-of-mine")
    recorder = Recorder()
    with Journal(folder) as journal:
        journal.record_study(study_log())
    with pytest.raises(TrialError), keep_notified(notify(), [recorder], folder, lambda _: None):
        raise TrialError(f"Ray was lost: http://me:pa55word@host said {TOKEN} k3y-of-mine")
    assert recorder.titles == ["has failed"]
    text = recorder.told[0].text
    assert text.startswith("Ray was lost: ")
    assert not [secret for secret in (TOKEN, "k3y-of-mine", "pa55word") if secret in text]


def test_only_what_is_asked_for_is_told_and_a_stopped_study_is_no_failure(folder: StudyFolder) -> None:
    for events, titles in ((["stall"], []), (["end"], ["has been stopped"])):
        recorder = Recorder()
        with Journal(folder) as journal, keep_notified(notify(events=events), [recorder], folder, print):
            journal.record_trial(trial_log(0, 0.1))
            journal.record_outcome(OutcomeLog("s", "stopped"))
        assert recorder.titles == titles


def look(folder: StudyFolder, recorder: Recorder, given: Notify) -> Callable[[float], None]:
    notifier = Notifier(given, [recorder], folder, print)
    notifier._began = 0.0  # all records are of this command
    return notifier._look


def test_better_trials_are_told_of_now_and_then(folder: StudyFolder) -> None:
    recorder = Recorder()
    at = look(folder, recorder, notify(best_minutes=10.0))
    with Journal(folder) as journal:
        for now, score in ((0, 0.1), (60, 0.2), (120, 0.3), (180, 0.25), (240, 0.4)):
            journal.record_trial(trial_log(now, score))
            at(float(now))
        assert recorder.titles == ["has a better trial"]  # the second: the first is better than none
        journal.record_trial(trial_log(700, 0.5, tags={"duplicate_of": "0"}))
        at(700.0)
        at(710.0)
    assert [one.text.split("; ")[1].strip() for one in recorder.told] == [
        "best score 0.200 (trial 60), optimistic",
        "best score 0.400 (trial 240), optimistic",
    ]


def test_a_stall_is_told_once_and_only_while_trials_are_searched(folder: StudyFolder) -> None:
    recorder = Recorder()
    at = look(folder, recorder, notify(events=["stall"]))
    with Journal(folder) as journal:
        write_json(folder.live, SEARCHING.to_dict())
        for now in (0, 20, 40, 60):
            journal.record_trial(trial_log(now))
            at(float(now))
        at(250.0)  # 9.5 times the usual
        assert recorder.told == []
        write_json(folder.live, CONFIRMING.to_dict())
        at(270.0)
        assert recorder.told == []
        write_json(folder.live, SEARCHING.to_dict())
        at(270.0)
        at(400.0)
        assert recorder.titles == ["stalls"]
        assert recorder.told[0].text.startswith("No trial has ended for 4 minutes; usually one ends every 20 s. ")
        journal.record_trial(trial_log(500))
        at(500.0)
        at(600.0)
        assert len(recorder.told) == 1
        at(801.0)  # 15 times: of 20, 20, 20 and 440 s the median is 20
        assert len(recorder.told) == 2


def test_the_best_follows_the_objective(folder: StudyFolder) -> None:
    """Before, a better trial was told by its score whatever the study was searched for."""
    recorder = Recorder()
    notifier = Notifier(notify(), [recorder], folder, print, "log_likelihood")
    notifier._began = 0.0
    with Journal(folder) as journal:
        for number, (score, likelihood) in enumerate([(0.1, -2.0), (0.4, -3.0), (0.2, -1.0)]):
            scores = {"score": score, "log_likelihood": likelihood}
            journal.record_trial(trial_log(number, scores=scores))
            notifier._look(float(number))
    assert [one.text for one in recorder.told] == ["3 complete; best log_likelihood -1.000 (trial 2), optimistic\n"]


def test_a_stall_before_anything_has_ended_is_told(folder: StudyFolder) -> None:
    """Before, a search whose first trials hang was never said to stall."""
    recorder = Recorder()
    at = look(folder, recorder, notify(events=["stall"]))
    with Journal(folder):
        at(0.0)  # still starting
        write_json(folder.live, SEARCHING.to_dict())
        at(5000.0)
        at(5000.0 + notifying.UNKNOWN_STALL_S - 1)
        assert recorder.told == []
        at(5000.0 + notifying.UNKNOWN_STALL_S)
        at(5000.0 + 3 * notifying.UNKNOWN_STALL_S)
    [told] = recorder.told
    assert told.text.startswith("No trial has ended for 120 minutes; how often one ends is not known yet. ")


def test_what_is_usual_is_known_from_earlier_commands(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    with Journal(folder) as journal, monkeypatch.context() as patched:
        clock = iter([0.0, *(100.0 + 20 * n for n in range(4)), 9000.0, 9100.0])
        patched.setattr("rfe.journal.journal.time.time", lambda: next(clock))
        journal.record("session")
        for number in range(4):
            journal.record_trial(trial_log(number))
        journal.record("session")
        journal.record_trial(trial_log(4))  # the time between two commands is no gap
    notifier = Notifier(notify(events=["stall"]), [recorder], folder, print)
    notifier._began = 1e6
    write_json(folder.live, SEARCHING.to_dict())
    notifier._look(0.0)
    notifier._look(199.0)
    assert recorder.told == []
    notifier._look(200.0)
    assert recorder.told[0].text.startswith("No trial has ended for 3 minutes; usually one ends every 20 s. ")


def test_what_another_process_does_is_left_to_it(folder: StudyFolder) -> None:
    recorder = Recorder()
    at = look(folder, recorder, notify())
    with Journal(folder) as journal:
        journal.record("session", pid=-1)
        for number, score in enumerate((0.1, 0.2)):
            journal.record_trial(trial_log(number, score))
        write_json(folder.live, SEARCHING.to_dict())
        at(0.0)
        at(2 * notifying.UNKNOWN_STALL_S)
        assert recorder.told == []
        journal.record("session", pid=os.getpid())
        journal.record_trial(trial_log(2, 0.3))
        at(2 * notifying.UNKNOWN_STALL_S + 1)
    assert recorder.titles == ["has a better trial"]


def test_an_error_because_another_process_works_on_the_study_is_not_told(folder: StudyFolder) -> None:
    recorder = Recorder()
    with Journal(folder), pytest.raises(StudyError), keep_notified(notify(), [recorder], folder, print):
        raise StudyError("it is being worked on")
    assert recorder.told == []
    with pytest.raises(StudyError), keep_notified(notify(), [recorder], folder, print):
        raise StudyError("its journal is damaged")
    assert recorder.titles == ["has failed"]


def test_fast_trials_do_not_stall_at_once(folder: StudyFolder) -> None:
    recorder = Recorder()
    at = look(folder, recorder, notify(events=["stall"]))
    write_json(folder.live, SEARCHING.to_dict())
    with Journal(folder) as journal:
        for now in range(6):
            journal.record_trial(trial_log(now))
            at(float(now))
    at(50.0)
    assert recorder.told == []
    at(66.0)
    assert len(recorder.told) == 1


def test_a_channel_that_fails_is_one_line_and_the_others_are_told(folder: StudyFolder) -> None:
    class Broken(Recorder):
        def send(self, message: Message, timeout_s: float) -> str:
            super().send(message, timeout_s)
            raise RuntimeError(TOKEN)

    broken, failing, good, notes = Broken("broken"), Recorder("failing", "exit code 7"), Recorder(), list[str]()
    with Journal(folder) as journal, keep_notified(notify(), [broken, failing, good], folder, notes.append):
        journal.record_trial(trial_log(0, 0.1))
        journal.record_trial(trial_log(1, 0.2))
        journal.record_outcome(OutcomeLog("s", "finished"))
    assert [len(one.told) for one in (broken, failing, good)] == [2, 2, 2]
    later = "; the search goes on, and later failures are not said"
    assert notes == [f"notify: broken: RuntimeError{later}", f"notify: failing: exit code 7{later}"]


def test_a_command_has_the_message_and_its_failures_are_said(tmp_path: Path) -> None:
    code = (
        "import json, os, sys; "
        "json.dump([sys.stdin.read(), os.environ['RFE_TITLE'], os.environ['RFE_EVENT'], os.environ['RFE_STUDY']], "
        "open(sys.argv[1], 'w'))"
    )
    path = tmp_path / "told.json"
    assert CommandChannel((sys.executable, "-c", code, str(path))).send(MESSAGE, 30.0) == ""
    assert json.loads(path.read_text()) == ["1 complete\n", "rfe: study s has finished", "end", "s"]
    assert CommandChannel(("sh", "-c", "echo secret; exit 7")).send(MESSAGE, 30.0) == "ended with exit code 7"
    assert CommandChannel(("true",)).send(Message("end", "s", "t", "x" * 2**20), 30.0) == ""  # it need not read
    assert "cannot be started" in CommandChannel((str(tmp_path),)).send(MESSAGE, 1.0)


def test_a_command_that_hangs_ends_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ("sh", "-c", f"sleep 60 & echo $! > {pid}; wait")
    assert CommandChannel(command).send(MESSAGE, 0.5) == "took longer than 0.5 s"
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while state.exists() and state.read_text().split()[2] not in "ZX" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not state.exists() or state.read_text().split()[2] in "ZX"


def fake_apprise(known: str, answer: Callable[..., bool]) -> SimpleNamespace:
    class Apprise:
        def add(self, address: str) -> bool:
            return address == known

        def notify(self, body: str, title: str) -> bool:
            return answer(body, title)

    return SimpleNamespace(Apprise=Apprise)


def test_apprise_gets_the_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    fake = fake_apprise("json://me", lambda body, title: told.append((body, title)) or True)
    monkeypatch.setitem(sys.modules, "apprise", fake)
    monkeypatch.setenv("RFE_URL", "json://me")
    [channel] = open_channels(Notify(apprise=["RFE_URL"]))
    assert channel.send(MESSAGE, 5.0) == ""
    assert told == [("1 complete\n", "rfe: study s has finished")]
    assert channel.name == "apprise address in RFE_URL"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda body, title: False, "the service did not take the message"),
        (lambda body, title: (_ for _ in ()).throw(OSError(f"no route to json://{TOKEN}")), "OSError"),
        (lambda body, title: time.sleep(3) or True, "took longer than 0.1 s"),
    ],
)
def test_a_service_that_fails_or_hangs_is_said_without_its_address(answer: Any, why: str) -> None:
    service = fake_apprise("x", answer).Apprise()
    assert AppriseChannel("RFE_URL", service).send(MESSAGE, 0.1) == why


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"command": ["no-such-program-here"]}, "there is no program 'no-such-program-here' here"),
        ({"apprise": ["RFE_UNSET"]}, "the environment variable RFE_UNSET is not set"),
        ({"apprise": ["RFE_WRONG"]}, "Apprise does not know the address in RFE_WRONG"),
    ],
)
def test_what_cannot_tell_is_refused_before_the_search(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", fake_apprise("json://me", lambda *_: True))
    monkeypatch.setenv("RFE_WRONG", f"nonsense://{TOKEN}")
    with pytest.raises(ConfigError, match=said) as error:
        open_channels(Notify(**given))
    assert TOKEN not in str(error.value)


def test_a_missing_apprise_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'rfe\[notify\]'"):
        open_channels(Notify(apprise=["RFE_URL"]))


# ---- the settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "notify: say how: command"),
        ({"comand": ["x"]}, "did you mean notify.command"),
        ({"command": ["curl", f"https://h/?t={TOKEN}"]}, "notify.command: holds a token"),
        ({"command": "curl https://hooks.slack.com/services/T0/B0/xyz"}, "notify.command: holds a webhook's address"),
        ({"command": "mail 'me"}, "No closing quotation"),
        ({"apprise": f"tgram://{TOKEN}/5"}, "notify.apprise: give the name of an environment variable"),
        ({"command": ["true"], "events": ["ended"]}, "each one of end, failure, stall, best"),
        ({"command": ["true"], "timeout_s": 0.0}, "notify.timeout_s: 0.0 is not allowed"),
    ],
)
def test_wrong_settings(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_space({"study": "s", "notify": given})
    assert said in str(error.value)
    assert TOKEN not in str(error.value)
    (tmp_path / "settings.yaml").write_text(json.dumps({"notify": given}))
    with pytest.raises(ConfigError, match=r"settings\.yaml"):
        find_notify(None, tmp_path)


def test_the_spaces_settings_come_before_the_workspaces(tmp_path: Path) -> None:
    assert find_notify(None, tmp_path) is None
    (tmp_path / "settings.yaml").write_text("notify: {command: mail -s rfe me@example.org, events: [end]}\n")
    own = Notify(command=["true"])
    assert find_notify(own, tmp_path) is own
    found = find_notify(None, tmp_path)
    assert found is not None
    assert (found.command, found.events) == (["mail", "-s", "rfe", "me@example.org"], ["end"])
    (tmp_path / "settings.yaml").write_text("notfy: {}\n")
    with pytest.raises(ConfigError, match="did you mean notify"):
        prepare_notify(None, tmp_path)


def test_a_study_keeps_no_command_that_resuming_it_would_run(tmp_path: Path) -> None:
    """A study's folder may be pulled from others."""
    space = load_space({"study": "s", "notify": {"command": ["true"]}, "budget": {"trials": 1}})
    definition = define_study(space, ("a", "b"), seed=0, fingerprint="f")
    write_definition(tmp_path, definition)
    path = tmp_path / "definition.json"
    content = json.loads(path.read_text())
    assert "notify" not in content["settings"]
    content["settings"]["notify"] = {"command": ["touch", "/tmp/owned"]}
    path.write_text(json.dumps(content))
    assert read_definition(tmp_path).space.notify is None
    other = define_study(load_space({"study": "s", "budget": {"trials": 1}}), ("a", "b"), seed=0, fingerprint="f")
    assert other.identity() == definition.identity()


def test_a_search_waits_a_bounded_time_for_its_last_message(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Recorder):
        def send(self, message: Message, timeout_s: float) -> str:
            time.sleep(30)
            return ""

    monkeypatch.setattr(notifying, "GRACE_S", 0.1)
    with Journal(folder) as journal, keep_notified(notify(timeout_s=0.1), [Hanging()], folder, print):
        journal.record_trial(trial_log(0, 0.1))
        journal.record_outcome(OutcomeLog("s", "finished"))
