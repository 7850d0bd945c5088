"""The whole path on a real book and a tiny model: corpus, training, sampling, MIDI, audio."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from abc_tools import check_tune, parse_tune, to_midi
from abc_tools.audio import render_audio
from abc_tools.audio_options import AudioOptions
from musicgen.sample import SampleOptions, TuneRequest, TuneSampler
from ui.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after 20 steps, made by the commands a user would type."""
    folder = tmp_path_factory.mktemp("end-to-end")
    words = ["--books", "northumbrian", "--validation", "8", "--test", "8"]
    assert main(["corpus", "build", "--out", str(folder / "corpus"), *words]) == 0
    words = ["--preset", "tiny", "--steps", "20", "--batch-tokens", "1024", "--no-transpose"]
    words += ["--corpus", str(folder / "corpus"), "--out", str(folder / "run")]
    assert main(["train", *words]) == 0
    return folder / "run"


def test_from_a_book_to_a_model_that_writes_tunes_in_its_vocabulary(run: Path) -> None:
    sampler = TuneSampler.load(run / "model")
    options = SampleOptions.own(seed=1, max_tokens=60)
    samples = list(sampler.samples(TuneRequest(meter="6/8", key="G"), options, 4))
    for sample in samples:
        tune = parse_tune(sample.abc)
        assert (tune.meter.text, tune.key.text) == ("6/8", "G")
    assert sum(sample.tokens for sample in samples) > 60


def test_a_corpus_tune_becomes_sound_of_the_length_its_notes_say(run: Path) -> None:
    line = (run.parent / "corpus" / "test.jsonl").read_text().splitlines()[0]
    tune = parse_tune(json.loads(line)["abc"])
    assert not [d for d in check_tune(tune) if d.severity == "error"]
    midi = to_midi(tune)
    assert midi.onsets_ms == sorted(midi.onsets_ms)
    assert len(midi.onsets_ms) == len(midi.spans) > 20
    frames, rate = soundfile.read(io.BytesIO(render_audio(midi.data, AudioOptions(format="wav"))))
    assert len(frames) / rate == pytest.approx(midi.seconds, abs=1.0)
    assert np.abs(frames).max() > 0.1


def test_evaluate_measures_the_model_and_both_ways_of_sampling(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = str(run.parent / "corpus" / "test.jsonl")
    words = ["--model", str(run / "model"), "--tunes", split, "--samples", "2", "--json"]
    assert main(["evaluate", *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 1 < result["bits_per_character"] < 8
    assert result["tunes"]["gate"] > 0.5
    assert result["samples_at_1"]["tunes"] == result["samples_as_served"]["tunes"] == 2
    assert (result["samples_at_1"]["temperature"], result["samples_at_1"]["top_p"]) == (1.0, 1.0)
