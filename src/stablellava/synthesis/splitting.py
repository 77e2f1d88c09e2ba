"""Which keyword-setting combinations training may see and which are kept for evaluation.

Paper: 2308.10253v1, section 4 (a keyword check keeps test items out of the training data).
Departs: the split is by combination, decided by hash before anything is drafted, so both sides know every keyword.
"""

from stablellava.core.capability import Capability, Keyword
from stablellava.core.ids import share_of


def settings_of(capability: Capability, keyword: Keyword) -> tuple[str, ...]:
    """Return the settings a keyword may have; one empty name if the capability knows none."""
    return keyword.settings or capability.settings or ("",)


def training_settings(capability: Capability, keyword: Keyword, held_out_share: float) -> tuple[str, ...]:
    """Return the settings in which training may show the keyword; never empty."""
    held_out = set(held_out_settings(capability, keyword, held_out_share))
    return tuple(setting for setting in settings_of(capability, keyword) if setting not in held_out)


def held_out_settings(capability: Capability, keyword: Keyword, held_out_share: float) -> tuple[str, ...]:
    """Return the settings kept for evaluation; empty only if the keyword has a single setting."""
    settings = settings_of(capability, keyword)
    if len(settings) < 2:
        return ()
    shares = {setting: share_of(capability.name, keyword.name, setting) for setting in settings}
    held_out = [setting for setting in settings if shares[setting] < held_out_share]
    if not held_out:
        return (min(settings, key=lambda setting: shares[setting]),)
    if len(held_out) == len(settings):
        held_out.remove(max(settings, key=lambda setting: shares[setting]))
    return tuple(held_out)
