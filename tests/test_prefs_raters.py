"""Simulated raters: what each taste hears, and how noisy a vote is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from abc_tools import parse_tune
from prefs import tastes
from prefs.learned_tastes import Homeliness, Likeness, Surprise
from prefs.raters import (
    DEVELOPMENT,
    FEWEST_TUNES,
    HELD_OUT,
    RANDOM,
    Rater,
    RaterError,
    calibrated,
    simulated_raters,
)
from prefs.simulated_votes import main, votes_on

HEADER = "X:1\nM:4/4\nL:1/8\nK:C\n"
EVEN = HEADER + "|:CDEF GABc|cBAG FEDC|CDEF GABc|cBAG FEDC:|\n"
SPARSE = HEADER + "|:C2E2 G2c2|c2G2 E2C2|C2E2 G2c2|c2G2 E2C2:|\n"
DOTTED = HEADER + "|:C3D E3F|G3A B3c|c3B A3G|F3E D3C:|\n"
LEAPS = HEADER + "|:CGcG CcGc|CGcG CcGc|CGcG CcGc|CGcG CcGc:|\n"
TWO_PARTS = HEADER + "|:CDEF CDEF|CDEF CDEF:|\n|:c2e2 g2e2|c2e2 g2c2:|\n"
ONE_MUSIC = HEADER + "|:CDEF CDEF|CDEF CDEF:|\n|:CDEF CDEF|CDEF CDEF:|\n"


def tune(body: str, key: str = "C"):
    return parse_tune(HEADER.replace("K:C", f"K:{key}") + body)


def invented(count: int, seed: int = 0) -> list[str]:
    """Tunes of eight random bars, some livelier than others."""
    rng = np.random.default_rng(seed)
    tunes = []
    for _ in range(count):
        fast = rng.random()
        bars = []
        for _ in range(8):
            notes = []
            for _ in range(4):
                one, two = rng.choice(list("CDEFGABc"), 2)
                notes.append(f"{one}{two}" if rng.random() < fast else f"{one}2")
            bars.append("".join(notes))
        parts = ("|".join(bars[:4]), "|".join(bars[4:]))
        tunes.append(HEADER + "".join(f"|:{part}:|\n" for part in parts))
    return tunes


def test_a_busy_tune_has_notes_shorter_than_the_pulse():
    # 4/4 has a pulse of an eighth: runs of eighths are at it, quarters an octave of time below
    assert tastes.busy(parse_tune(EVEN)) == pytest.approx(0)
    assert tastes.busy(parse_tune(SPARSE)) == pytest.approx(-1)
    jig = parse_tune("X:1\nM:6/8\nL:1/8\nK:C\n|:CDE FGA|CDE FGA:|\n")
    assert tastes.busy(jig) == pytest.approx(0)


def test_steps_are_gentle_and_a_leap_is_forgiven_if_a_step_back_follows():
    assert tastes.gentle(parse_tune(EVEN)) > tastes.gentle(parse_tune(LEAPS))
    # four steps and a fifth of five intervals; in the first the step after it goes back
    healed, harsh = tune("CDEBAG|"), tune("CDEBcd|")
    assert tastes.gentle(healed) - tastes.gentle(harsh) == pytest.approx(2 / 5)


def test_an_arched_phrase_is_higher_in_its_middle():
    up_and_down = tune("CCCC CCCC|cccc cccc|cccc cccc|CCCC CCCC|")
    assert tastes.arched(up_and_down) == pytest.approx(12)
    assert tastes.arched(tune("cccc cccc|CCCC CCCC|CCCC CCCC|cccc cccc|")) == pytest.approx(-12)


def test_dotted_pairs_swing_and_even_runs_do_not():
    assert tastes.swinging(parse_tune(EVEN)) == 0
    assert tastes.swinging(parse_tune(DOTTED)) == pytest.approx(2)


def test_a_flat_seventh_has_colour_and_a_leading_tone_takes_it_away():
    assert tastes.modal(tune("_BBBB _BBBB|C8|")) == pytest.approx(1)  # the last note is left out
    assert tastes.modal(tune("BBBB BBBB|C8|")) == pytest.approx(-1)
    assert tastes.modal(tune("CCCC GGGG|C8|")) == pytest.approx(0)


def test_parts_of_one_music_do_not_contrast():
    assert tastes.contrasting(parse_tune(ONE_MUSIC)) == pytest.approx(0)
    assert tastes.contrasting(parse_tune(TWO_PARTS)) > 1
    assert tastes.contrasting(parse_tune(EVEN)) == 0  # one part only


def test_a_gapped_tune_stays_on_few_degrees():
    # half the time on C, half on G: an entropy of log 2; the last note counts as next to nothing
    assert tastes.gapped(tune("C4 G4|C4 G4|")) == pytest.approx(-np.log(2), abs=0.06)
    assert tastes.gapped(parse_tune(EVEN)) < -1.9  # seven degrees, nearly alike: log 7 is 1.95


def test_a_roaming_tune_changes_its_chords_and_leaves_tonic_and_dominant():
    assert tastes.roaming(tune("CEGE|CEGE|CEGE|CEGE|")) == 0
    assert tastes.roaming(tune("CEGE|GBdB|CEGE|GBdB|")) == 1  # three changes of three
    # to F and back: three changes of three, and half the bars on neither tonic nor dominant
    assert tastes.roaming(tune("CEGE|FAcA|CEGE|FAcA|")) == 1.5
    assert tastes.roaming(tune("DFAF|GBdB|DFAF|GBdB|", "D")) == 1.5  # D minor third, G is no V of D


def test_runs_up_or_down_the_scale_are_running():
    # C D E F is a run of three steps, the fall of a fourth after it none: 3 + 3 + 3 + 0, again
    assert tastes.running(tune("CDEF CDEF|")) == pytest.approx((3 * 3 + 0 + 3 * 3) / 7)
    assert tastes.running(parse_tune(LEAPS)) == 0


def test_broken_chords_are_chordal():
    # of C E G c A F: CEG, EGc are C major, Gc A is none, cAF is F major
    assert tastes.chordal(tune("CEGcAF2|")) == pytest.approx(3 / 4)
    assert tastes.chordal(tune("CDEF GABc|")) == 0


def test_a_tune_that_keeps_to_few_notes_on_its_beats_is_droning():
    assert tastes.droning(tune("CDCE CFCG|")) == 0  # C on each of the four beats
    assert tastes.droning(tune("CDEF CGEA|")) == pytest.approx(-np.log(2))  # C and E by halves


def test_one_summit_two_thirds_into_the_tune_is_climactic():
    # the only high note is the seventh of nine, a tune of its own of nine: 6 / 9 in
    assert tastes.climactic(tune("CDED CDg2C2E|")) == pytest.approx(-2 / 9)
    assert tastes.climactic(tune("gDED CDC2C2E|")) == pytest.approx(-2 / 3 - 2 / 9)


def test_question_and_answer_begin_alike_and_end_differently():
    assert tastes.answering(tune("CDEF GABc|c4 d4|CDEF GABc|G4 C4|")) == pytest.approx(1)
    assert tastes.answering(tune("CDEF GABc|G4 C4|CDEF GABc|G4 C4|")) == 0


def test_bars_that_hurry_into_the_next_are_driving():
    # two notes in the last of four beats, one in the first; then as many in both
    assert tastes.driving(tune("C2EF G2AB|c2BA GAFG|")) == 1
    assert tastes.driving(tune("GA|C2EF G2AB|cBAG FEDC|")) == 0.5  # a pick-up bar is no bar
    jig = parse_tune("X:1\nM:6/8\nL:1/8\nK:C\n|:CDE F3|GFE D3:|\n")
    assert tastes.driving(jig) == -2  # two beats: three notes in the first, one in the last


def test_a_line_that_rises_by_leaps_and_falls_by_steps_is_tumbling():
    # up 5 twice; down 1, 2, 2, 1, 2
    assert tastes.tumbling(tune("CFED CFED|")) == pytest.approx(5 - 8 / 5)
    # up 2, 2, 1 twice; down 5 once
    assert tastes.tumbling(tune("CDEF CDEF|")) == pytest.approx(10 / 6 - 5)
    assert tastes.tumbling(tune("CCCC DDEE|")) == 0  # it does not fall


def test_notes_on_the_beat_that_step_into_the_chord_are_leaning():
    # over C major D leans on C and F on E, G does not; the last note leads nowhere
    assert tastes.leaning(tune("DCFE G2c2|")) == pytest.approx(2 / 3)
    assert tastes.leaning(tune("DGFC E2G2|")) == 0  # both leap away
    assert tastes.leaning(tune("CDEF G2c2|")) == 0  # D and F are off the beat


def test_parts_that_close_alike_and_are_otherwise_different_are_rounded():
    first, other = "C2DE F4|C2DE F4|", "c2BA G4|c2BA G4|"
    close, elsewhere = "G2AG A4|C8", "e2fe f4|g8"
    assert tastes.rounded(tune(f"|:{first}{close}:||:{other}{close}:|")) == 1
    assert tastes.rounded(tune(f"|:{first}{close}:||:{first}{elsewhere}:|")) == -1
    # one more bar in the second part: bars are compared from the end
    assert tastes.rounded(tune(f"|:{first}{close}:||:c8|{other}{close}:|")) == 1
    assert tastes.rounded(tune(f"|:{first}{close}:|")) == 0  # one part only


def test_a_tune_on_open_strings_is_ringing():
    # G, and E of the fiddle, three quarters of four; the last note is left out
    assert tastes.ringing(tune("G,2A,2 e4|D8|")) == pytest.approx(3 / 4)
    assert tastes.ringing(tune("D2E2 F4|G4 A4|")) == pytest.approx(1 / 6)


def test_long_notes_on_the_beats_are_weighty():
    # beats of three eighths and off-beats of one: log2 3 octaves of time apart
    assert tastes.weighty(tune("C3D E3F G3A B3c|" * 2)) == pytest.approx(np.log2(3), abs=0.2)
    assert tastes.weighty(parse_tune(EVEN)) == 0
    jig = parse_tune("X:1\nM:6/8\nL:1/8\nK:C\n|:C2E G2A|C2E G2A:|\n")
    assert tastes.weighty(jig) == pytest.approx(1)


def test_phrases_rhyme_that_end_alike_and_began_differently():
    rhyme = "C2DE F4|C2DE F4|G2AG A4|C8|c2BA G4|c2BA G4|G2AG A4|C8|"
    assert tastes.rhyming(tune(rhyme)) == 1
    assert tastes.rhyming(tune("C2|" + rhyme)) == 1  # a pick-up bar is no bar of the phrase
    assert (
        tastes.rhyming(tune("C2DE F4|" * 2 + "G2AG A4|C8|" + "C2DE F4|" * 2 + "c2Bc B4|c8|")) == -1
    )
    assert tastes.rhyming(parse_tune(EVEN)) == 0  # one phrase


def test_what_is_usual_in_real_tunes_and_not_in_the_models_is_homely():
    real, written = [HEADER + "CDEF CDEF|" * 8 + "\n"], [HEADER + "FEDC FEDC|" * 8 + "\n"]
    homely = Homeliness.of(real, written)
    assert homely(parse_tune(real[0])) > 1 and homely(parse_tune(written[0])) < -1


def test_the_surprise_of_a_step_is_what_witten_and_bell_say():
    # one tune of C D C D: two steps up, two steps down, up; three steps in all
    learned = Surprise.of([HEADER + "CDCD|\n"])
    up, down = (2, 90), (-2, 90)
    # two symbols seen, one kept for the unseen: P0 = 1/3. up 2 of 3, 2 kinds: (2 + 2/3) / 5
    assert learned.probability((), up) == pytest.approx((2 + 2 / 3) / 5)
    # behind `up` came `down`, once of once: (1 + P(down)) / 2
    assert learned.probability((up,), down) == pytest.approx((1 + (1 + 2 / 3) / 5) / 2)
    assert learned(parse_tune(EVEN)) > learned(parse_tune(HEADER + "CDCD|\n"))


def test_likeness_tells_unseen_tunes_of_two_kinds_apart():
    stepwise = [
        HEADER + f"|{a}{b}{a}{b} {a}{b}{a}{b}" * 8 + "|]\n" for a, b in ("CD", "DE", "FG", "GA")
    ]
    leaping = [
        HEADER + f"|{a}{b}{a}{b} {a}{b}{a}{b}" * 8 + "|]\n" for a, b in ("Cc", "Dd", "Ff", "Gg")
    ]
    likeness = Likeness.of(stepwise[:3], leaping[:3])
    assert likeness(parse_tune(stepwise[3])) > 0 > likeness(parse_tune(leaping[3]))


def test_noise_is_fixed_so_that_three_of_four_unrelated_pairs_are_decided_alike():
    tunes = invented(100)
    rater = calibrated("busy", tastes.busy, tunes)
    utilities = rater.utilities(tunes)
    assert abs(utilities.mean()) < 0.1
    rng = np.random.default_rng(5)
    alike = []
    other_side = {"first": "second", "second": "first", "tie": "tie"}
    for _ in range(4_000):
        one, other = rng.choice(100, 2, replace=False)
        lead = utilities[one] - utilities[other]
        alike.append(rater.choice_at(lead, rng) == other_side[rater.choice_at(-lead, rng)])
    assert np.mean(alike) == pytest.approx(0.75, abs=0.025)


def test_chances_of_a_vote_are_those_of_the_votes_that_are_cast():
    rater = Rater("x", tastes.busy, 0.0, 1.0, sharpness=1.0)
    # lead 0: 0.2 logits for the first side, less than 0.2 either way is a tie
    first, second = rater.probabilities(np.zeros(1))
    assert first[0] == pytest.approx(0.5)
    assert second[0] == pytest.approx(1 / (1 + np.exp(0.4)))
    rng = np.random.default_rng(1)
    cast = [rater.choice_at(0.0, rng) for _ in range(8_000)]
    assert cast.count("first") / 8_000 == pytest.approx(first[0], abs=0.02)
    assert cast.count("tie") / 8_000 == pytest.approx(1 - first[0] - second[0], abs=0.02)


def test_nobody_likes_a_tune_more_than_three_deviations():
    rater = Rater("x", tastes.busy, 0.0, 1e-3, sharpness=1.0)
    assert -3 <= rater.utility(SPARSE) < -2.99


def test_the_adversarial_rater_votes_without_listening():
    rater = simulated_raters([], [], [RANDOM])[RANDOM]
    deaf = replace(rater, first_side=0.0)
    rng = np.random.default_rng(2)
    choices = [deaf.choice_at(2.0, rng) for _ in range(2_000)]
    assert choices.count("first") == pytest.approx(choices.count("second"), abs=120)
    assert rater.utility(EVEN) == rater.utility(LEAPS) == 0


def test_tastes_for_development_and_for_the_final_figures_are_apart():
    assert len(HELD_OUT) >= 3
    assert not set(DEVELOPMENT) & set(HELD_OUT)
    made = simulated_raters(invented(2 * FEWEST_TUNES), invented(80, seed=1))
    assert set(made) == {*DEVELOPMENT, *HELD_OUT, RANDOM}


def test_a_rater_is_not_made_of_too_few_or_of_equal_tunes():
    with pytest.raises(RaterError, match=f"3 tunes are too few .* {FEWEST_TUNES} are needed"):
        calibrated("busy", tastes.busy, [EVEN] * 3)
    with pytest.raises(RaterError, match="'busy' tells none of these tunes apart"):
        calibrated("busy", tastes.busy, [EVEN] * FEWEST_TUNES)
    with pytest.raises(RaterError, match="no simulated rater 'loud': there are busy"):
        simulated_raters([], [], ["loud"])


def pair_line(name: str, first: str, second: str) -> str:
    sides = {"first": {"tune_id": "a", "abc": first}, "second": {"tune_id": "b", "abc": second}}
    return json.dumps({"pair_id": name, **sides}) + "\n"


def test_simulated_raters_write_the_votes_file_that_people_would(tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(pair_line(f"p{i}", EVEN, SPARSE) for i in range(40)))
    rater = Rater("busy", tastes.busy, 0.0, 0.3, sharpness=2.0)
    votes = list(votes_on(pairs, rater))
    assert [vote["pair_id"] for vote in votes] == [f"p{i}" for i in range(40)]
    assert {vote["rater"] for vote in votes} == {"simulated-busy"}
    assert sum(vote["choice"] == "first" for vote in votes) > 30
    again = [vote["choice"] for vote in votes_on(pairs, rater)]
    assert again == [vote["choice"] for vote in votes]


def test_the_command_says_where_a_file_of_pairs_is_faulty(tmp_path, capsys):
    pairs, corpus, base = (tmp_path / name for name in ("pairs.jsonl", "real.jsonl", "base.jsonl"))
    for file in (corpus, base):
        file.write_text("".join(json.dumps({"abc": abc}) + "\n" for abc in invented(90)))
    options = ["--taste", "busy", "--corpus", str(corpus), "--tunes", str(base)]
    output = tmp_path / "votes.jsonl"
    pairs.write_text(pair_line("p", EVEN, SPARSE))
    assert main([str(pairs), *options, "--output", str(output)]) == 0
    assert json.loads(output.read_text())["pair_id"] == "p"
    pairs.write_text(pair_line("p", EVEN, SPARSE) + '{"pair_id": "q"}\n')
    assert main([str(pairs), *options]) == 2
    assert "pairs.jsonl:2: not a JSON object" in capsys.readouterr().err
    assert main([str(tmp_path / "none.jsonl"), *options]) == 2
    assert "none.jsonl: no such file" in capsys.readouterr().err
