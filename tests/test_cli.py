"""The musicgen command: what it prints, and one line for each fault a user can mend."""

import json
import shutil
from pathlib import Path

import pytest

from abc_tools import (
    canonical_text,
    decode_bytes,
    parse_tune,
    passes_gate,
    split_tunes,
    transpose,
    unfold,
)
from musicgen.checkpoint import BUNDLED
from musicgen.part_plan import part_plan
from ui.cli import COMMANDS, main

needs_model = pytest.mark.skipif(
    not (BUNDLED / "base" / "model.safetensors").exists(), reason="the bundled model is not here"
)


def test_without_a_command_it_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in COMMANDS)


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["genrate"]) == 2
    assert capsys.readouterr().err.startswith("musicgen: no command 'genrate'")


@needs_model
def test_generate_writes_a_numbered_tunebook_of_sound_tunes(tmp_path: Path) -> None:
    out = tmp_path / "new.abc"
    words = ["generate", "-n", "3", "--rhythm", "jig", "--key", "G major", "--seed", "5"]
    assert main([*words, "-o", str(out)]) == 0
    text = out.read_text()
    tunes = [f"X:{block}" for block in text.split("X:")[1:]]
    assert [tune.split("\n")[0] for tune in tunes] == ["X:1", "X:2", "X:3"]
    for abc in tunes:
        tune = parse_tune(abc)
        assert (tune.rhythm, tune.key.text) == ("jig", "G")
        assert passes_gate(abc)
    again = tmp_path / "again.abc"
    assert main([*words, "-o", str(again)]) == 0
    assert again.read_text() == text


@needs_model
def test_generate_as_json_lines_names_model_seed_and_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", "--jsonl", "--seed", "9", "--meter", "6/8", "--unconstrained"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) == {"id", "abc", "model", "seed", "options", "created"}
    assert (record["model"], record["seed"], record["options"]["meter"]) == ("base", 9, "6/8")
    assert "\nM:6/8\n" in record["abc"]


@needs_model
def test_generate_goes_on_from_the_opening_of_a_prompt_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = tmp_path / "opening.abc"
    prompt.write_text("X:1\nT:Mine\nM:6/8\nL:1/8\nR:jig\nK:D\n|:DFA AFA|BAB d>ef|\n")
    assert main(["generate", "--prompt", str(prompt), "--unconstrained"]) == 0
    abc = capsys.readouterr().out
    assert "R:jig\nM:6/8\nL:1/8\nK:D\n|:DFA AFA|BAB d3/2e/2f|" in abc


@needs_model
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rhythm", "tango"], "musicgen: this model knows no rhythm 'tango'; it knows "),
        (["--key", "H flat"], "musicgen: 'H flat' is no key: write it as D, Ador"),
        (["--temperature", "0"], "musicgen: temperature 0.0 is not between 0.01 and 10"),
        (["--prompt", "/nowhere.abc"], "musicgen: /nowhere.abc: No such file or directory"),
        (["--model", "nobody"], "musicgen: no model 'nobody': give a model folder or one of base"),
    ],
)
def test_what_cannot_be_generated_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *words]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


@needs_model
@pytest.mark.parametrize("damage", ["missing", "cut", "json", "tokenizer"])
def test_a_damaged_model_folder_is_one_line_that_names_the_file_and_the_repair(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(BUNDLED / "base", folder)
    name = {"json": "config.json", "tokenizer": "tokenizer.json"}.get(damage, "model.safetensors")
    if damage == "missing":
        (folder / name).unlink()
    else:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    assert main(["generate", "--model", str(folder)]) == 1
    err = capsys.readouterr().err
    assert name in err and "musicgen train" in err
    assert err.count("\n") == 1


def test_an_empty_corpus_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--corpus", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(words) == 1
    assert (
        f"no corpus in {tmp_path}: make it with `musicgen corpus build" in capsys.readouterr().err
    )
    empty = tmp_path / "empty.abc"
    empty.write_text("nothing\n")
    words = ["corpus", "build", "--out", str(tmp_path / "c"), "--books", "--add", str(empty)]
    assert main(words) == 1
    assert "no usable tune in what was given" in capsys.readouterr().err


def test_nearest_names_the_printed_tune_that_a_tune_was_taken_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from musicgen import corpus, novelty

    (book,) = (book for book in corpus.BOOKS if book.name == "northumbrian")
    path = next(corpus.music21_folder().glob(book.files))
    tune = split_tunes(decode_bytes(path.read_bytes()))[3]
    copied = tmp_path / "mine.abc"
    copied.write_text(canonical_text(transpose(parse_tune(tune), "A")))
    index = novelty.corpus_index(tmp_path, books=("northumbrian",))
    monkeypatch.setattr(novelty, "corpus_index", lambda home: index)
    assert main(["nearest", str(copied), "--home", str(tmp_path)]) == 0
    assert parse_tune(tune).title in capsys.readouterr().out
    assert main(["nearest", str(tmp_path / "none.abc")]) == 1
    assert "none.abc: No such file" in capsys.readouterr().err


def test_corpus_list_shows_each_book_with_its_terms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "list"]) == 0
    out = capsys.readouterr().out
    assert "O'Neill's Music of Ireland" in out
    assert "NOT for commercial use" in out
    assert "americanfife" not in out


@needs_model
def test_parts_bars_and_an_instruments_range_are_kept_to(
    capsys: pytest.CaptureFixture[str], tmp_home: Path
) -> None:
    words = ["--parts", "2", "--bars", "4", "--instrument", "whistle", "--key", "D", "--jsonl"]
    assert main(["generate", *words]) == 0
    record = json.loads(capsys.readouterr().out)
    tune = parse_tune(record["abc"])
    assert part_plan(tune) == (4, 4)
    assert min(note.pitch for note in unfold(tune).notes) >= 62
    assert record["options"]["plan"] == "4+4" and record["options"]["low"] == 62
    assert main(["generate", "--plan", "8,8"]) == 1
    assert main(["generate", "--instrument", "kazoo"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "musicgen: '8,8' is no plan: write the bars of each part, such as 8+8+16"
    assert lines[1].startswith("musicgen: no instrument 'kazoo'; choose fiddle, flute")


@needs_model
def test_a_tweak_and_a_middle_in_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tmp_home: Path
) -> None:
    header = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\n"
    opening, ending, out = (tmp_path / f"{name}.abc" for name in ("opening", "ending", "out"))
    opening.write_text(header + "|:DFA d2e|fdB AFA|")
    ending.write_text("GBG AFD|EDD D3:|")
    words = ["generate", "--prompt", str(opening), "--ending", str(ending), "-o", str(out)]
    assert main([*words, "--bars", "4"]) == 0
    made = out.read_text()
    assert "|:DFA d2e|fdB AFA|" in made and made.rstrip().endswith("GBG AFD|EDD D3:|")
    assert main(["tweak", str(out), "--bars", "3-4", "--seed", "2"]) == 0
    varied = capsys.readouterr().out
    assert varied != made and len(parse_tune(varied).bars) == len(parse_tune(made).bars) == 8
    assert main(words) == 1
    assert "--ending needs --prompt with the opening, and --bars" in capsys.readouterr().err
