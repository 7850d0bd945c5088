"""Which model plays, what played before, where each comes from."""

import json
import shutil
import subprocess

import numpy as np

from musicgen import promoted
from musicgen.checkpoint import BUNDLED
from musicgen.promoted import (
    decisions,
    keep_both,
    model_before,
    promote,
    promoted_model,
    rival_of,
    roll_back,
)
from prefs.history import history
from prefs.lineage import commit, lineage, votes_hash
from prefs.probe import Comparisons
from prefs.training_votes import TrainingVotes
from ui.cli import main


def votes_of(outcome):
    compared = Comparisons(np.array([0, 1]), np.array([1, 0]), np.array(outcome))
    return TrainingVotes(("X:1\nK:D\nA|\n", "X:1\nK:D\nB|\n"), compared, None, 0)


def add_model(home, name, **told):
    shutil.copytree(BUNDLED / "base", home / "models" / name)
    if told:
        (home / "models" / name / "lineage.json").write_text(json.dumps({"name": name, **told}))


def test_going_back_plays_what_was_played_before(tmp_path):
    for name in ("tuned-1", "tuned-2"):
        add_model(tmp_path, name)
        promote(tmp_path, name)
    promote(tmp_path, "tuned-2")  # again: changes nothing, so it is no decision
    assert len(decisions(tmp_path)) == 2 and model_before(tmp_path) == "tuned-1"
    assert roll_back(tmp_path) == "tuned-1" == promoted_model(tmp_path)
    assert main(["models", "back", "--home", str(tmp_path)]) == 0
    assert promoted_model(tmp_path) == "tuned-2", "what was played before going back"


def test_a_model_that_is_gone_is_not_gone_back_to(tmp_path):
    for name in ("tuned-1", "tuned-2"):
        add_model(tmp_path, name)
        promote(tmp_path, name)
    shutil.rmtree(tmp_path / "models" / "tuned-1")
    assert roll_back(tmp_path) == "base"


def test_the_history_tells_what_each_was_made_from_and_what_became_of_it(tmp_path, capsys):
    for number, name in enumerate(("tuned-1", "tuned-2", "tuned-3", "gone")):
        add_model(
            tmp_path,
            name,
            parent="base",
            votes=40 + number,
            votes_sha256="ab" * 32,
            options={"method": "expert"},
            commit="c" * 40,
            created=f"2026-01-0{number + 1}",
        )
    promote(tmp_path, "tuned-1")
    promote(tmp_path, "tuned-2")
    keep_both(tmp_path, "tuned-3")
    (tmp_path / "runs" / "gone").mkdir(parents=True)
    (tmp_path / "runs" / "gone" / "report.json").write_text('{"votes": 43, "parent": "base"}')
    assert main(["models", "remove", "gone", "--home", str(tmp_path)]) == 0
    found = {model.name: model for model in history(tmp_path)}
    assert {name: model.fate for name, model in found.items()} == {
        "tuned-1": "replaced", "tuned-2": "promoted", "tuned-3": "kept", "gone": "removed",
    }  # fmt: skip
    assert found["gone"].votes == 43 and not found["gone"].there
    assert [model.name for model in history(tmp_path)][:3] == ["tuned-3", "tuned-2", "tuned-1"]
    capsys.readouterr()
    assert main(["models", "history", "--home", str(tmp_path)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "42 votes" in first and "votes abababababab" in first and "method=expert" in first


def test_the_hash_of_the_votes_changes_with_any_of_them():
    assert votes_hash(votes_of([1.0, 0.0])) == votes_hash(votes_of([1.0, 0.0]))
    assert votes_hash(votes_of([1.0, 0.0])) != votes_hash(votes_of([1.0, 0.5]))
    told = lineage("mine", "base", "weights", votes_of([1.0, 0.0]), {"seed": 0})
    assert told["votes"] == 2 and told["options"] == {"seed": 0} and told["parent"] == "base"


def test_the_commit_is_that_of_the_clone_and_none_outside_one(tmp_path):
    assert commit(tmp_path) is None

    def git(*words):
        mine = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *mine, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "a").write_text("a")
    git("add", "a")
    git("commit", "-qm", "a")
    assert commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a").write_text("b")
    assert commit(tmp_path) == git("rev-parse", "HEAD") + "-dirty"


def test_a_model_is_compared_with_the_newest_and_at_first_with_the_bundled_ladder(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(promoted, "_BUNDLED", tmp_path / "bundled")
    home = tmp_path / "home"
    assert rival_of(home, "base") is None, "no ladder was made"
    (tmp_path / "bundled" / "ladder").mkdir(parents=True)
    (tmp_path / "bundled" / "ladder" / "model.safetensors").touch()
    assert rival_of(home, "base") == "ladder" and rival_of(home, "ladder") == "base"
    assert rival_of(home, "of-my-own-corpus") is None
    add_model(home, "tuned-1")
    assert rival_of(home, "base") == rival_of(home, "ladder") == "tuned-1"
    assert rival_of(home, "tuned-1") == "base"
