"""A retraining that learns nothing, as a process: python fake_retrain.py NAME HOME [fails|waits]"""

import json
import shutil
import sys
import time
from pathlib import Path

BASE = Path(__file__).parent.parent / "musicgen" / "models" / "base"
HEALTH = {"kl": 4.0, "entropy": 1.0, "variety": 0.45, "validity": 0.7, "length": 120, "tunes": 64}


def main(name: str, home: Path, how: str = "") -> None:
    run = home / "runs" / name
    run.mkdir(parents=True, exist_ok=True)

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
    while how == "waits" and not (home / "go").exists():
        time.sleep(0.02)
    follows = {"notes a bar": 0.61, "leaps": -0.32}
    log(kind="reward", votes=40, accuracy=0.71, agreement=None, follows=follows)
    for number in (1, 2):
        draw(number)
        health = {**HEALTH, "kl": 4.0 * number}
        log(
            kind="round", round=number, reward=0.3 * number, base_reward=0.0, health=health,
            base_health=HEALTH, taken_back=[],
        )  # fmt: skip
    report = {"model": name, "parent": "base", "votes": 40, "follows": follows}
    (run / "report.json").write_text(json.dumps(report))
    shutil.copytree(BASE, home / "models" / f".{name}")
    (home / "models" / f".{name}").rename(home / "models" / name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
