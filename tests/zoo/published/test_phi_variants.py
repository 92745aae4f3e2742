"""The Phi variants' tensors and sizes equal those of transformers, on the meta device."""

from math import prod

import pytest

from zoo.published.phi_variants import VARIANTS, phi_shapes


@pytest.mark.parametrize("name", ["phi-1-small", "phi-1", "phi-2"])
def test_the_tensors_are_those_of_transformers(name: str) -> None:
    import torch
    from transformers import PhiConfig, PhiForCausalLM

    config = VARIANTS[name].config
    with torch.device("meta"):
        model = PhiForCausalLM(PhiConfig(**{key: value for key, value in config.items() if key != "model_type"}))
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert phi_shapes(config) == wanted
    assert VARIANTS[name].parameters == sum(prod(shape) for shape in wanted.values())
    rotary = {"phi-2": 0.4}.get(name, 0.5)
    assert model.config.rope_parameters["partial_rotary_factor"] == rotary
