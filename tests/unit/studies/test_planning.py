from stablellava.capabilities import load_capability
from stablellava.config.loading import load_config
from stablellava.studies.planning import make_plan


def test_pictures_are_counted_per_sample_of_a_multi_image_capability() -> None:
    config = load_config(overrides=["synthesis.capabilities=animal,story", "synthesis.samples_per_capability=10"])

    plan = make_plan(config)

    assert plan.num_samples == 20
    assert plan.num_paintings == 10 + 10 * load_capability("story").max_images


def test_steps_follow_from_samples_epochs_and_batch() -> None:
    config = load_config(
        overrides=[
            "synthesis.capabilities=animal", "synthesis.samples_per_capability=100",
            "training.instruct.num_epochs=1.5", "training.instruct.batch_size=8",
            "training.instruct.gradient_accumulation=2",
        ]
    )  # fmt: skip

    align, instruct = make_plan(config).stages

    assert (align.num_samples, align.num_steps) == (100, 7)
    assert (instruct.num_samples, instruct.batch_size, instruct.num_steps) == (150, 16, 10)


def test_a_closed_form_takes_no_steps() -> None:
    config = load_config(overrides=["training.align.method=closed_form"])

    assert make_plan(config).stages[0].num_steps == 0
