from pathlib import Path

import pytest
import torch

import tiny_vlm
from stablellava.config.training import ClosedFormSettings
from stablellava.core.errors import ConfigError
from stablellava.model.assembling import Vlm, assemble
from stablellava.model.closed_form import (
    CentredRidge,
    PseudoPhotos,
    ShownPicture,
    Words,
    read_class_names,
    solve_projector,
)
from stablellava.model.feature_cache import FeatureCache

PICTURES_ONLY = ClosedFormSettings(pseudo_photos_per_class=0)
PSEUDO_ONLY = ClosedFormSettings(own_pictures=False, pseudo_photos_per_class=1)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm.write_language_model(tmp_path_factory.mktemp("lm"))


def build(language_model: Path, tmp_path: Path, **changes: object) -> tuple[Vlm, FeatureCache]:
    vlm = assemble(tiny_vlm.tiny_settings(language_model, **changes), seed=0)
    return vlm, FeatureCache(tmp_path / "features", vlm.model, vlm.processor.image_processor)


def project(vlm: Vlm, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        projected: torch.Tensor = vlm.model.model.multi_modal_projector(tokens).mean(dim=1)
    return projected


def test_ridge_recovers_a_linear_map_with_its_intercept() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(3, 5, generator=generator), torch.tensor([10.0, -20.0, 30.0])
    x = torch.randn(200, 5, generator=generator) + 7.0
    ridge = CentredRidge(5, 3)
    for rows in x.split(64):
        ridge.add(rows, rows @ weight.T + bias, torch.ones(len(rows)))
    found_weight, found_bias = ridge.solve(1e-9)
    assert torch.allclose(found_weight, weight, atol=1e-3)
    assert torch.allclose(found_bias, bias, atol=1e-2)
    assert ridge.explained(found_weight) == pytest.approx(1.0, abs=1e-4)


def test_a_strong_ridge_answers_with_the_mean() -> None:
    ridge = CentredRidge(1, 1)
    ridge.add(torch.tensor([[1.0], [3.0]]), torch.tensor([[10.0], [30.0]]), torch.ones(2))
    weight, bias = ridge.solve(1e9)
    assert (weight.item(), bias.item()) == pytest.approx((0.0, 20.0), abs=1e-3)


def test_a_row_that_counts_three_times_is_as_good_as_three() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 4, generator=generator), torch.randn(9, 2, generator=generator)
    times = torch.tensor([1, 3, 2] * 3)
    once, repeated = CentredRidge(4, 2), CentredRidge(4, 2)
    once.add(x, y, times)
    repeated.add(x.repeat_interleave(times, 0), y.repeat_interleave(times, 0), torch.ones(18))
    for counted, spelt_out in zip(once.solve(0.1), repeated.solve(0.1), strict=True):
        assert torch.allclose(counted, spelt_out, atol=1e-5)
    assert once.num_rows == repeated.num_rows == 18


def test_words_that_are_all_the_same_leave_nothing_to_explain() -> None:
    generator = torch.Generator().manual_seed(0)
    ridge = CentredRidge(4, 3)
    for _ in range(3):
        ridge.add(torch.randn(7, 4, generator=generator), torch.tensor([0.3, -0.7, 1.1]).expand(7, 3), torch.ones(7))
    weight, _ = ridge.solve(1e-3)
    assert ridge.explained(weight) == 0.0


@pytest.mark.parametrize("posterior", [False, True])
def test_pictures_not_solved_from_are_projected_nearest_to_their_own_words(
    language_model: Path, tmp_path: Path, posterior: bool
) -> None:
    vlm, cache = build(language_model, tmp_path, tower_posterior=posterior)
    seen, unseen = (
        [ShownPicture(tiny_vlm.write_square(tmp_path, name, seed), name) for seed in seeds for name in tiny_vlm.COLORS]
        for seeds in (range(20), (90, 91))
    )
    cache.compute(picture.image for picture in [*seen, *unseen])
    result = solve_projector(vlm, cache, seen, PICTURES_ONLY, seed=0)
    assert (result.num_pictures, result.num_pseudo_photos) == (60, 0)
    words, names = Words(vlm), list(tiny_vlm.COLORS)
    distance = torch.cdist(
        project(vlm, cache.gather([picture.image for picture in unseen])),
        torch.stack([words.embed(name) for name in names]),
    )
    assert [names[i] for i in distance.argmin(dim=1)] == [picture.phrase for picture in unseen]


def test_pseudo_photos_show_their_class_to_the_towers_own_classifier(language_model: Path, tmp_path: Path) -> None:
    vlm, _ = build(language_model, tmp_path, tower_posterior=True)
    classes = torch.arange(0, 1000, 20)
    tokens = PseudoPhotos(vlm.model.model.vision_tower, ClosedFormSettings(), seed=1).draw(classes)
    assert tokens.shape == (50, 5, 2280)
    whole_picture = tokens[:, 0, 1280:].argmax(dim=1)
    assert (whole_picture == classes).float().mean() > 0.9
    assert tokens[..., :1280].min() >= 0.0 and tokens[..., :1280].max() <= 6.0


def test_without_any_picture_a_class_is_projected_towards_its_name(language_model: Path, tmp_path: Path) -> None:
    vlm, cache = build(language_model, tmp_path)
    plain = ClosedFormSettings(own_pictures=False, pseudo_photos_per_class=3, evidence=60.0, evidence_share=1.0)
    result = solve_projector(vlm, cache, [], plain, seed=0)
    assert (result.num_pictures, result.num_pseudo_photos) == (0, 3000)
    words = Words(vlm)
    names = torch.stack([words.embed(name) for name in read_class_names()])
    classes = torch.arange(0, 1000, 20)
    new = PseudoPhotos(vlm.model.model.vision_tower, plain, seed=99).draw(classes)
    centred = [rows - names.mean(dim=0) for rows in (project(vlm, new), names)]
    likeness = torch.nn.functional.cosine_similarity(centred[0][:, None], centred[1][None], dim=2)
    rank_of_own_name = (likeness > likeness[torch.arange(50), classes][:, None]).sum(dim=1)
    assert rank_of_own_name.float().median() < 20  # of 1,000


def test_with_the_posterior_a_sure_class_is_projected_onto_its_name(language_model: Path, tmp_path: Path) -> None:
    vlm, cache = build(language_model, tmp_path, tower_posterior=True)
    solve_projector(vlm, cache, [], PSEUDO_ONLY, seed=0)
    weight = vlm.model.model.multi_modal_projector.linear_1.weight
    names = read_class_names()
    assert len(names) == 1000
    assert torch.equal(weight[:, 1280 + names.index("zebra")], Words(vlm).embed("zebra"))


def test_the_same_seed_solves_for_the_same_projector(language_model: Path, tmp_path: Path) -> None:
    weights = []
    for seed in (1, 1, 2):
        vlm, cache = build(language_model, tmp_path)
        solve_projector(vlm, cache, [], PSEUDO_ONLY, seed)
        weights.append(vlm.model.model.multi_modal_projector.linear_1.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_cannot_be_solved_is_refused(language_model: Path, tmp_path: Path) -> None:
    two_layers, cache = build(language_model, tmp_path, projector="mlp2x_gelu")
    with pytest.raises(ConfigError, match="projector=linear"):
        solve_projector(two_layers, cache, [], PSEUDO_ONLY, seed=0)
    linear, cache = build(language_model, tmp_path)
    with pytest.raises(ConfigError, match="neither pictures"):
        solve_projector(linear, cache, [ShownPicture(tmp_path / "a.png", "")], PICTURES_ONLY, seed=0)
