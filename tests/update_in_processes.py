"""The gradients of one PPO update in several processes: python update_in_processes.py FOLDER N"""

import copy
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, multiprocessing
from toy_model import likes_high_notes, toy_base

from prefs.optimise import PolicyOptions, TuneOptions
from prefs.policy import PolicyGradient
from prefs.rollout import roll_out


def work(rank: int, count: int, folder: Path) -> None:
    torch.set_num_threads(1)
    if count > 1:
        if sys.platform == "linux":
            os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = distributed.FileStore(str(folder / "meeting"), count)
        distributed.init_process_group(
            "gloo", store=store, rank=rank, world_size=count, timeout=timedelta(minutes=4)
        )
    base = toy_base()
    options = TuneOptions(
        method="ppo", batch_tokens=512, policy=PolicyOptions(batch=32, preflight=32)
    )
    model = copy.deepcopy(base.model)
    arm = PolicyGradient(model, base.model, base.tokenizer, likes_high_notes, options)
    begun = arm.begin(roll_out(base.model, base.tokenizer, 64, 1))
    batch, _ = arm.prepare(begun.rollouts, begun.rewards)
    arm.add_gradients(batch, None)
    torch.save([p.grad for p in arm.parameters], folder / f"{count}-{rank}.pt")


if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    if count == 1:
        work(0, 1, folder)
    else:
        multiprocessing.spawn(work, (count, folder), nprocs=count)
