from stablellava.core.errors import BackendFailed, BackendMissing, ConfigError, RecordError, StableLlavaError
from stablellava.core.suggesting import suggest_name


def test_exit_codes_tell_the_users_mistake_from_a_backend_and_from_a_bug() -> None:
    assert (ConfigError.exit_code, RecordError.exit_code) == (2, 2)
    assert (BackendMissing.exit_code, BackendFailed.exit_code) == (3, 3)
    assert StableLlavaError.exit_code == 1


def test_a_near_name_is_offered_and_a_far_one_lists_all() -> None:
    assert suggest_name("animl", ["animal", "plant"]) == "Did you mean 'animal'?"
    assert suggest_name("zzz", ["plant", "animal"]) == "Known: animal, plant."
    assert suggest_name("zzz", []) == "None is known."
