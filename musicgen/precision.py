"""In which precision this machine computes fastest."""

from __future__ import annotations

import torch


def fast_autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware multiplies it: on GPUs, on CPUs with AMX tiles. Else float32.

    On a CPU with AVX-512 but no AMX a training step of the small preset took 2.16 s in bfloat16 and
    1.18 s in float32 (one thread, 4,032 tokens).
    """
    fast = device.type != "cpu" or torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bool(fast))
