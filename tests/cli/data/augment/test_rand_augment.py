"""RandAugment, against torchvision's own on one image at a time."""

import pytest
import torch
from torchvision.transforms import v2

from qat_cli.data.augment.rand_augment import HIGHEST, OPERATIONS, rand_augmented

FILL = [10.0, 20.0, 30.0]
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(40, 216, (6, 3, 16, 20), dtype=torch.uint8, generator=GENERATOR)

# Their names in torchvision, which draws one at random: it is left with one to choose from.
THEIRS = {
    name: {"color": "Color", "auto_contrast": "AutoContrast"}.get(
        name, name.title().replace("_", "")
    )
    for name in OPERATIONS
}


def theirs(name, magnitude, image):
    """What torchvision may make of ``image``: one result, or one for each sign."""
    transform = v2.RandAugment(num_ops=1, magnitude=magnitude, fill=FILL)
    transform._AUGMENTATION_SPACE = {THEIRS[name]: v2.RandAugment._AUGMENTATION_SPACE[THEIRS[name]]}
    return [transform(image) for _ in range(12)]


def differ_by(first, second):
    """The largest difference; torchvision has strengths in float32, which rounds elsewhere."""
    return (first.int() - second.int()).abs().max().item()


def test_the_operations_are_those_of_torchvision():
    assert set(THEIRS.values()) == set(v2.RandAugment._AUGMENTATION_SPACE)


@pytest.mark.parametrize("magnitude", [5, 9, 30])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_does_what_it_does_in_torchvision(name, magnitude):
    torch.manual_seed(0)
    operation = OPERATIONS[name]
    strength = operation.strength(magnitude / HIGHEST, 16, 20)
    signs = (1, -1) if operation.has_sign else (1,)
    ours = [operation.apply(IMAGES, sign * strength, FILL) for sign in signs]
    for row, image in enumerate(IMAGES):
        expected = theirs(name, magnitude, image)
        for result in ours:
            assert any(differ_by(result[row], one) <= 1 for one in expected)


def test_every_image_is_changed_on_its_own():
    generator = torch.Generator().manual_seed(0)
    same = IMAGES[:1].expand(200, -1, -1, -1)
    changed = rand_augmented(same, 9, 1, FILL, generator)
    kinds = {image.numpy().tobytes() for image in changed}
    # Nine of the fourteen operations have a sign; identity leaves the image as it was.
    assert len(kinds) == 14 + 9


def test_more_operations_change_more():
    identical = [
        (
            rand_augmented(IMAGES.repeat(20, 1, 1, 1), 9, n, FILL, torch.Generator().manual_seed(0))
            == IMAGES.repeat(20, 1, 1, 1)
        )
        .flatten(1)
        .all(1)
        .sum()
        .item()
        for n in (1, 3)
    ]
    assert identical[1] < identical[0]


def test_grey_images_stay_grey():
    grey = IMAGES[:, :1]
    changed = rand_augmented(grey, 9, 2, FILL[:1], torch.Generator().manual_seed(0))
    assert changed.shape == grey.shape and changed.dtype == torch.uint8
