"""The JSON object of a tune, as every file and page of the project writes it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from musicgen.sample import Sample


def tune_id(abc: str) -> str:
    """Short name of a tune: the same text always gets the same one."""
    return hashlib.sha256(abc.encode()).hexdigest()[:12]


def tune_record(sample: Sample, *, model: str) -> dict[str, Any]:
    """`{"id", "abc", "model", "seed", "options", "created"}`; options rebuild the tune."""
    request, options = sample.request, sample.options
    chosen = {
        "rhythm": request.rhythm,
        "meter": request.meter,
        "key": request.key,
        "opening": request.opening or None,
        "plan": None if request.plan is None else "+".join(map(str, request.plan)),
        "low": request.low,
        "high": request.high,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "loop_cost": options.loop_cost,
        "row": sample.row,
    }
    return {
        "id": tune_id(sample.abc),
        "abc": sample.abc,
        "model": model,
        "seed": sample.seed,
        "options": {name: value for name, value in chosen.items() if value is not None},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
