"""A title for a tune that has none, in the manner of the old books."""

from __future__ import annotations

import hashlib

_OWNERS = (
    "Blacksmith", "Carter", "Cobbler", "Cooper", "Ferryman", "Fiddler", "Gardener",
    "Lamplighter", "Miller", "Milliner", "Night Watchman", "Piper", "Ploughman", "Postman",
    "Sailor", "Schoolmaster", "Shepherd", "Stonemason", "Tailor", "Tinker", "Turf Cutter",
    "Weaver", "Wheelwright", "Widow",
)  # fmt: skip
_THINGS = (
    "Apron", "Bargain", "Boots", "Bottle", "Bonnet", "Candle", "Chair", "Clock", "Coat", "Dream",
    "Farewell", "Fancy", "Favourite", "Gate", "Goose", "Hat", "Kettle", "Ladder", "Lantern",
    "Mistake", "Morning", "Needle", "Pocket", "Ramble", "Return", "Ribbon", "Spectacles",
    "Spoon", "Thimble", "Umbrella", "Waistcoat", "Wheelbarrow", "Window", "Wink",
)  # fmt: skip
_KINDS = (
    "Broken", "Crooked", "Early", "Empty", "Forgotten", "Green", "Idle", "Last", "Late", "Lost",
    "New", "Old", "Patched", "Quiet", "Rusty", "Second", "Silver", "Sunday", "Wandering", "Wet",
    "Yellow",
)  # fmt: skip
_PLACES = (
    "on the Bridge", "up the Chimney", "at the Crossroads", "on the Ferry", "by the Hearth",
    "over the Hill", "in the Kitchen", "on the Landing", "down the Lane", "at the Market",
    "in the Meadow", "at the Mill", "in the Orchard", "off the Pier", "along the Shore",
    "on the Stairs", "over the Stile", "by the Strand", "at the Well", "across the Yard",
)  # fmt: skip
_DOINGS = (
    "Dancing", "Dew", "Frost", "Late", "Laughing", "Rain", "Singing", "Snow", "Three Geese",
    "Two Hats", "Walking", "Whistling",
)  # fmt: skip

# Of all the titles that can be made, these are in the books that models are trained on.
_TAKEN = frozenset(
    {
        "The Broken Lantern",
        "The Green Meadow",
        "The New Apron",
        "The Sailor's Return",
        "The Tailor's Thimble",
    }
)


def title_for(tune_id: str) -> str:
    """One of some twenty thousand titles, chosen by the tune's id; none is a printed tune's.

    >>> title_for("k3f9d2xw") == title_for("k3f9d2xw")
    True
    """
    title = _draw_title(tune_id)
    return title if title not in _TAKEN else title_for(tune_id + "'")


def _draw_title(seed: str) -> str:
    draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")

    def pick(words: tuple[str, ...]) -> str:
        nonlocal draw
        draw, index = divmod(draw, len(words))
        return words[index]

    owner, kind, thing, place = pick(_OWNERS), pick(_KINDS), pick(_THINGS), pick(_PLACES)
    pattern = pick(("owner", "owner", "kind", "kind", "place", "doing", "thing", "two"))
    return {
        "owner": f"The {owner}'s {kind} {thing}",
        "kind": f"The {kind} {thing}",
        "place": f"The {thing} {place}",
        "doing": f"{pick(_DOINGS)} {place}",
        "thing": f"The {owner}'s {thing}",
        "two": f"The {kind} {place.split()[-1]}",
    }[pattern]
