"""From somebody's ABC to a request: the header says what to write, the music how it begins."""

from __future__ import annotations

import re
from dataclasses import replace

from abc_tools import AbcError, canonical_text, parse_tune
from musicgen.header import RequestError, TuneRequest
from musicgen.rhythm import rhythm_of


def request_from_abc(text: str, request: TuneRequest | None = None) -> TuneRequest:
    """The request that `text` makes: a header, opening bars, or both.

    Header fields in `text` fill what `request` leaves open. The music is rewritten in canonical
    plain form, a last bar left open stays open. Raises RequestError if nothing can be read.
    """
    request = request or TuneRequest()
    has_key = re.search(r"^K:", text, re.MULTILINE) is not None
    header = "" if has_key else f"X:1\nM:{request.meter or '4/4'}\nK:{request.key or 'C'}\n"
    try:
        tune = parse_tune(header + text)
    except AbcError as error:
        raise RequestError(f"the prompt is no ABC: {str(error).splitlines()[0]}") from None
    if has_key:
        request = replace(
            request,
            rhythm=request.rhythm or rhythm_of(tune.rhythm, "", tune.meter.text),
            meter=request.meter or tune.meter.text.replace("C|", "4/4"),
            key=request.key or tune.key.text,
        )
    elif tune.bars and (request.meter is None or request.key is None):
        raise RequestError("an opening without a header needs --meter and --key")
    if not tune.bars:
        return request
    canonical = canonical_text(tune, plain=True, title=False)
    body = re.split(r"^K:.*\n", canonical, maxsplit=1, flags=re.MULTILINE)[1].rstrip("\n")
    body = re.sub(r"\|[\]|]?$", "|" if tune.bars[-1].closed else "", body)
    if tune.bars[0].opens and not body.startswith("|:"):
        body = "|:" + body  # canonical text drops a repeat that is not closed; the model closes it
    return replace(request, opening=body)
