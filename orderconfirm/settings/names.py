"""Names that look like settings but are not: most are misspelt and would be silently ignored."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

#: A variable with one of these prefixes is meant for this service. Other programs use API_, LOG_ and the like.
PREFIXES = ("MAIL_", "MAILTRAP_", "EMAIL_", "COMPANY_", "CALLBACK_", "LEGAL_", "LOGO_", "OUTBOX_")
#: Read by the tests that use a Mailtrap sandbox.
_TEST_VARIABLES = ("MAILTRAP_ACCOUNT_ID", "MAILTRAP_SANDBOX_ID")
#: Similarity (0 to 1) from which a name counts as a misspelling of another.
_MIN_SIMILARITY = 0.85


def describe_unknown(names: Iterable[str], known: Collection[str], is_shared: bool) -> dict[str, str]:
    """Return, by name, the rest of an error sentence that begins with that name.

    The result contains only names that are not `known` and look like a misspelt setting. With `is_shared` other
    programs use the same environment, so a name without one of our prefixes is not reported.
    """
    return {name: _describe(name, known) for name in names if _looks_like_a_setting(name, known, is_shared)}


def _looks_like_a_setting(name: str, known: Collection[str], is_shared: bool) -> bool:
    if name in known or name in _TEST_VARIABLES:
        return False
    has_prefix = name.upper().startswith(PREFIXES)
    return has_prefix or (not is_shared and bool(get_close_matches(name.upper(), known, 1, _MIN_SIMILARITY)))


def _describe(name: str, known: Collection[str]) -> str:
    matches = get_close_matches(name.upper(), sorted(known), 1)
    return f"is not a setting: did you mean {matches[0]}?" if matches else "is not a setting"
