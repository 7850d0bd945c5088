"""Pairs to vote on: alike where they should be, sound, and blind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from abc_tools import parse_tune, passes_gate
from musicgen.checkpoint import BUNDLED
from musicgen.sample import SampleError, TuneSampler
from prefs.database import database_url
from prefs.pair_maker import PairMaker, opening_of
from prefs.store import open_store
from ui.cli import main

JIG = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n|:A|dfa afd|c2e dBA|dfa bfd|c2e d2:|\n"


@pytest.fixture(scope="module")
def sampler() -> TuneSampler:
    return TuneSampler.load(BUNDLED / "base")


def test_the_opening_is_the_header_and_two_whole_bars():
    assert opening_of(JIG) == "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n|:A|dfa afd|c2e dBA|"
    with pytest.raises(SampleError, match="fewer than 9 whole bars"):
        opening_of(JIG, 9)


def test_a_learning_pair_begins_alike_goes_on_differently_and_is_sound(sampler: TuneSampler):
    maker = PairMaker(sampler, "base", np.random.default_rng(5))
    new = maker.learning_pair()
    assert new.pair.kind == "learning" and new.first.abc != new.second.abc
    assert (new.pair.first, new.pair.second) == (new.first.id, new.second.id)
    for tune in (new.first, new.second):
        assert passes_gate(tune.abc)
        assert opening_of(tune.abc) == new.pair.opening


def test_an_evaluation_pair_has_one_header_and_a_tune_of_each_model(sampler: TuneSampler):
    rng = np.random.default_rng(6)
    sides = set()
    for _ in range(3):
        new = PairMaker(sampler, "one", rng).evaluation_pair(PairMaker(sampler, "two", rng))
        tunes = [parse_tune(tune.abc) for tune in (new.first, new.second)]
        assert len({(t.rhythm, t.meter.text, t.key.text) for t in tunes}) == 1
        assert {new.first.model, new.second.model} == {"one", "two"}
        assert len(new.pair.options["first_draw_sound"]) == 2
        sides.add(new.first.model)
    assert new.pair.opening == "" and new.pair.kind == "evaluation"


def test_pairs_in_a_file_name_no_model_and_their_votes_come_back(tmp_home: Path, tmp_path, capsys):
    (tmp_home / "models").mkdir()
    shutil.copytree(BUNDLED / "base", tmp_home / "models" / "secretname")
    file = tmp_path / "pairs.jsonl"
    command = ["pairs", "--models", "secretname", "base", "-n", "2", "--seed", "3"]
    assert main([*command, "-o", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert "secretname" not in text and "base" not in text and "T:" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(set(line) == {"pair_id", "first", "second"} for line in lines)

    votes = tmp_path / "votes.jsonl"
    store = open_store(database_url(tmp_home))
    won = []
    for line in lines:
        new_first = store.tune(line["first"]["tune_id"]).model == "secretname"
        choice = "first" if new_first else "second"
        vote = {"pair_id": line["pair_id"], "choice": choice, "rater": "one"}
        won.append(json.dumps({**vote, "listened_ms": [9000, 9000], "at": "2026-01-01T00:00:00Z"}))
    store.close()
    votes.write_text("\n".join(won) + "\n", encoding="utf-8")
    assert main(["votes", "import", str(votes)]) == 0
    capsys.readouterr()
    assert main(["compare", "secretname", "base", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wins"] == 2


def test_informative_pairs_are_chosen_among_more_that_are_kept_too(tmp_home: Path, capsys):
    command = ["pairs", "--models", "base", "-n", "1", "--seed", "4", "--informative"]
    assert main(command) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    store = open_store(database_url(tmp_home))
    assert len(lines) == 1 and len(store.pairs("learning")) == 4
    assert json.loads(lines[0])["pair_id"] in {pair.id for pair in store.pairs()}
    store.close()
    assert main(["pairs", "--models", "base", "tuned", "--informative"]) == 2
    assert "drawn uniformly" in capsys.readouterr().err


def test_an_unknown_model_is_one_line(tmp_home: Path, capsys):
    assert main(["pairs", "--models", "nobody"]) == 1
    assert "no model 'nobody'" in capsys.readouterr().err
