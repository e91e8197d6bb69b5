"""Names that are no setting, and look like one: most are misspelt, and would be ignored in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

#: What begins like this is meant for this service.
_PREFIXES = ("MAIL_", "MAILTRAP_", "EMAIL_", "COMPANY_", "OUTBOX_")
#: The tests read these, to look into a Mailtrap sandbox.
_OF_THE_TESTS = ("MAILTRAP_ACCOUNT_ID", "MAILTRAP_SANDBOX_ID")
#: How alike two names are when one is the other misspelt, from 0 to 1.
_LIKENESS = 0.85


def doubts(names: Iterable[str], known: Collection[str], is_shared: bool) -> dict[str, str]:
    """What is wrong with each of `names` that is not `known`, as the rest of a sentence that begins with the name.

    With `is_shared` others put names there too, and one without a prefix of ours is taken for theirs.
    """
    return {name: _doubt(name, known) for name in names if _is_doubtful(name, known, is_shared)}


def _is_doubtful(name: str, known: Collection[str], is_shared: bool) -> bool:
    if name in known or name in _OF_THE_TESTS:
        return False
    is_ours = name.upper().startswith(_PREFIXES)
    return is_ours or (not is_shared and bool(get_close_matches(name.upper(), known, 1, _LIKENESS)))


def _doubt(name: str, known: Collection[str]) -> str:
    nearest = get_close_matches(name.upper(), sorted(known), 1)
    return f"is not a setting: is {nearest[0]} meant?" if nearest else "is not a setting"
