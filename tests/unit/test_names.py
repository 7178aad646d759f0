"""Names from models are C identifiers that the generated code and the agent have no use for."""

from __future__ import annotations

import pytest

from tinyvision.codegen.names import c_identifier, is_identifier


@pytest.mark.parametrize("text", ["model", "VWW MobileNet v1!", "1st", "", "*/ #error", "é" * 99])
def test_any_text_becomes_an_identifier(text):
    assert is_identifier("tv_" + c_identifier(text))


@pytest.mark.parametrize("text", ["runtime", "model_t", "Agent_Receive", "requantize", "lookup_0"])
def test_names_that_are_taken_are_changed(text):
    assert c_identifier(text) == f"{text.lower()}_model"


@pytest.mark.parametrize("text", ["model", "digits", "vww_96_0", "lookup_table"])
def test_all_others_stay_themselves(text):
    assert c_identifier(text) == text
