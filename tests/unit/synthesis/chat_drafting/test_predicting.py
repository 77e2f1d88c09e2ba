import pytest

from stablellava.config.base import BackendSettings
from stablellava.core.errors import BackendFailed
from stablellava.synthesis.chat_drafting.predicting import predict_from_probe
from toys import toy_config, toy_material


def test_a_sample_without_an_accepted_draft_predicts_nothing() -> None:
    config = toy_config(max_rounds=1)
    writer = BackendSettings(backend="fake-chat", options={"broken_share": 1.0})
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"writer": writer})})
    with pytest.raises(BackendFailed, match=r"none of 4 drafts by 'fake-chat' was accepted .unparsable_answer 4"):
        predict_from_probe(config, 4, toy_material())
