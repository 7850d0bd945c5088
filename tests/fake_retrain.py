"""A retraining that learns nothing, as a process: python fake_retrain.py NAME HOME [HOW] [...]

HOW is one of fails, waits, crashes, guarded (the second round is taken back). Further words, as
`musicgen retrain` takes them, are written into the run's words.json.
"""

import json
import shutil
import sys
import time
from pathlib import Path

BASE = Path(__file__).parent.parent / "musicgen" / "models" / "base"
HEALTH = {"kl": 0.0, "entropy": 1.0, "variety": 0.45, "validity": 0.7, "length": 120, "tunes": 64}
COMPLAINT = "its tunes became alike: 0.310 different 4-grams, base 0.450"
TUNE = """X:1
R:reel
M:4/4
L:1/8
K:D
|:A2FA DAFA|A2FA BEE2|A2FA DAFA|Bcde fdd2:|
|:faaf gbba|fddf edBd|faaf gbba|fdec d4:|
"""
BARS = [0.9, -0.4, 0.7, 0.1, -0.8, 0.2, -0.9, 0.2]


def turned(abc: str, places: str) -> str:
    """The tune with some of its letters exchanged."""
    head, _, body = abc.partition("K:D\n")
    return f"{head}K:D\n{body.translate(str.maketrans(places, places[1:] + places[:1]))}"


def main(name: str, home: Path, how: str = "", *more: str) -> None:
    run = home / "runs" / name
    run.mkdir(parents=True, exist_ok=True)
    (run / "words.json").write_text(json.dumps(more))

    def log(**record):
        with open(run / "log.jsonl", "a") as file:
            file.write(json.dumps({**record, "at": time.time()}) + "\n")

    def draw(seed):
        for done in range(0, 65, 16):
            log(kind="drawing", seed=seed, done=done, of=64)
            time.sleep(0.03)

    draw(0)
    if how == "fails":
        print("musicgen: all votes are ties: nothing says which tunes are better")
        raise SystemExit(1)
    if how == "crashes":
        raise ValueError("a fault of its own")
    while how == "waits" and not (home / "go").exists():
        time.sleep(0.02)
    follows = {"notes a bar": 0.61, "share of leaps": -0.32, "ends on the tonic": 0.2}
    log(kind="reward", votes=40, accuracy=0.71, agreement=None, follows=follows)
    rounds = []
    for number in (1, 2):
        draw(number)
        lost = how == "guarded" and number == 2
        health = {
            **HEALTH, "kl": 4.0 * number, "entropy": 1 - 0.1 * number,
            "variety": 0.31 if lost else 0.45 - 0.01 * number,
        }  # fmt: skip
        rounds.append(
            dict(
                round=number, kept=8, reward=0.3 * number, base_reward=0.0, health=health,
                base_health=HEALTH, taken_back=[COMPLAINT] if lost else [],
            )
        )  # fmt: skip
        log(kind="round", **rounds[-1])
        tuned = None if lost else turned(TUNE, "ABd")
        log(kind="moment", step=number, opening=TUNE[:40], base=TUNE, tuned=tuned)
        while how == "waits" and number == 1 and not (home / "on").exists():
            if (home / "go").read_text() != "slowly":
                break
            time.sleep(0.02)
    report = {
        "model": name, "parent": "base", "method": "expert", "votes": 40, "follows": follows,
        "reward_accuracy": 0.71, "self_agreement": None, "kl": 8.0, "rounds": rounds,
        "tunes": [
            dict(which="best", abc=TUNE, reward=2.1, bars=BARS, best_bars=[0, 2, 5],
                 worst_bars=[1, 4, 6]),
            dict(which="worst", abc=turned(TUNE, "AFf"), reward=-2.3, bars=BARS,
                 best_bars=[0, 2], worst_bars=[4, 6]),
        ],
        "samples": [
            {"base": TUNE, "tuned": turned(TUNE, "ABd")},
            {"base": turned(TUNE, "Af"), "tuned": turned(TUNE, "AdB")},
        ],
    }  # fmt: skip
    (run / "report.json").write_text(json.dumps(report))
    shutil.copytree(BASE, home / "models" / f".{name}")
    lineage = {
        "name": name, "parent": "base", "votes": 40, "votes_sha256": "ab" * 32,
        "options": {"method": "expert", "pool": 64, "seed": 0}, "commit": None,
        "created": "2026-11-24T10:00:00+00:00",
    }  # fmt: skip
    (home / "models" / f".{name}" / "lineage.json").write_text(json.dumps(lineage))
    (home / "models" / f".{name}").rename(home / "models" / name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
