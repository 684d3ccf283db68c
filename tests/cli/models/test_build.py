"""Models by name."""

import pytest
import torch
from torch import nn

from qat_cli.errors import UserError
from qat_cli.models import BUILT_IN, build_model, check_output, first_conv_channels
from qat_cli.models.build import built_in_factory
from qat_cli.recipes.schema import ModelConfig


def build(name, kwargs=None, in_channels=3, num_classes=4, allow_user_code=True, size=(16, 16)):
    config = ModelConfig(name=str(name), kwargs=kwargs or {})
    return build_model(config, (in_channels, *size), num_classes, allow_user_code)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("in_channels", [1, 3])
def test_built_in_models_take_the_channels_and_classes_of_the_data(name, in_channels):
    model = build(name, in_channels=in_channels, size=(32, 32))
    taken = first_conv_channels(model) or in_channels
    assert taken in (in_channels, 3)  # a transformer takes RGB, to which grey images are brought
    assert model.eval()(torch.zeros(2, taken, 32, 32)).shape == (2, 4)


def test_resnet20_has_as_many_parameters_as_counted_by_hand():
    # Convolutions 432 + 6*2304 + 4608+5*9216 + 18432+5*36864 + shortcuts 512+2048, batch norms
    # 2*(16*7 + 32*7 + 64*7) with those of the shortcuts 2*(32+64), linear 650.
    convolutions = 432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864 + 512 + 2048
    norms = 2 * (16 * 7 + 32 * 6 + 64 * 6) + 2 * (32 + 64)
    model = build("resnet20", num_classes=10)
    assert sum(p.numel() for p in model.parameters()) == convolutions + norms + 650


@pytest.mark.parametrize(
    ("name", "matrices"),
    [
        ("tfc", 784 * 64 + 2 * 64 * 64 + 64 * 10),
        ("sfc", 784 * 256 + 2 * 256 * 256 + 256 * 10),
        ("lfc", 784 * 1024 + 2 * 1024 * 1024 + 1024 * 10),
        ("cnv", 27 * 64 + 9 * (64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2) + 512 * (256 + 522)),
    ],
)
def test_the_bnn_pynq_networks_have_the_weights_of_the_published_ones(name, matrices):
    # By hand: inputs times outputs of each layer, times 9 for a convolution.
    model = built_in_factory(name)()
    assert sum(p.numel() for p in model.parameters() if p.ndim > 1) == matrices


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (5, 9)])
def test_a_fully_connected_network_takes_images_of_any_size(size):
    model = build("tfc", in_channels=1, size=size)
    assert model.eval()(torch.zeros(2, 1, *size)).shape == (2, 4)


def test_cnv_takes_larger_images_and_refuses_smaller_ones():
    assert build("cnv", size=(40, 40)).eval()(torch.zeros(1, 3, 40, 40)).shape == (1, 4)
    for size in ((31, 31), (32, 48)):
        with pytest.raises(UserError, match=r"32x32 pixels or more: set data.image_size=32"):
            build("cnv", size=size)


@pytest.mark.parametrize(("size", "patches"), [(16, 8), (28, 7), (32, 8), (224, 8)])
def test_vit_tiny_cuts_an_image_into_at_most_8_by_8_patches(size, patches):
    model = build("vit_tiny", size=(size, size))
    assert model.seq_length == patches**2 + 1  # with the class token


def test_vit_tiny_refuses_images_that_are_no_whole_number_of_patches():
    with pytest.raises(UserError, match="do not divide into patches of 5"):
        build("vit_tiny", {"patch_size": 5}, size=(32, 32))


def test_a_vision_transformer_of_torchvision_is_built_for_the_size_of_the_images():
    with torch.device("meta"):  # 88 million parameters, none of them looked at
        assert build("vit_b_32", size=(64, 64)).image_size == 64


def test_torchvision_classifiers_are_built_by_name():
    model = build("squeezenet1_1")
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_a_users_file_is_loaded_and_gets_what_its_signature_has(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "def make(num_classes, hidden=3):\n"
        "    first, second = nn.Linear(12, hidden), nn.Linear(hidden, num_classes)\n"
        "    return nn.Sequential(nn.Flatten(), first, second)\n"
    )
    model = build(f"{file}:make", {"hidden": 7})
    assert (model[1].out_features, model[2].out_features) == (7, 4)


def test_a_users_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text("from torch import nn\nLayer = nn.Identity\n")
    (tmp_path / "mine.py").write_text("from neighbour_of_mine import Layer\n")
    assert isinstance(build(f"{tmp_path / 'mine.py'}:Layer"), nn.Identity)


def test_a_module_of_a_package_is_imported():
    assert isinstance(build("torch.nn:Identity"), nn.Identity)


def test_code_does_not_run_unless_the_user_named_it(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("open('ran', 'w')\n")
    with pytest.raises(UserError, match=r"add --model .*mine\.py:make"):
        build(f"{file}:make", allow_user_code=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_smal", "called 'resnet_smal'; did you mean 'resnet_small'"),
        ("rasnet18", "did you mean 'resnet18'"),
        ("nowhere.py:make", "nowhere.py does not exist"),
        ("nowhere.py", r"names no factory; write nowhere.py:FACTORY"),
        ("no_such_package_x:make", "'no_such_package_x' is not found"),
        ("torch.nn:Linaer", "has no callable 'Linaer'"),
    ],
)
def test_a_wrong_name_says_what_is_there(name, message):
    with pytest.raises(UserError, match=message):
        build(name)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def other(): pass", "has no callable 'make'.*It defines other"),
        ("def make(): return 3", "the factory returned int, not a torch.nn.Module"),
        ("def make(): raise RuntimeError('boom')", "RuntimeError: boom"),
        ("1 / 0", "mine.py fails: ZeroDivisionError"),
        ("def make(:", "mine.py fails: SyntaxError"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, code, message):
    file = tmp_path / "mine.py"
    file.write_text(code)
    with pytest.raises(UserError, match=message):
        build(f"{file}:make")


def test_a_module_that_fails_is_named_with_its_error(tmp_path, monkeypatch):
    (tmp_path / "module_of_mine.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="'module_of_mine' fails: ZeroDivisionError: division by"):
        build("module_of_mine:make")


def test_unknown_arguments_are_shown():
    with pytest.raises(UserError, match=r"widht=4.*fails"):
        build("resnet_small", {"widht": 4})


def test_too_few_outputs_are_refused():
    with pytest.raises(UserError, match="has 4 outputs but the data has 5 classes"):
        check_output(build("resnet_small"), "m", torch.zeros(1, 3, 8, 8), classes=5)


def test_images_of_the_wrong_shape_are_refused():
    with pytest.raises(UserError, match="fails on images of shape 1x8x8"):
        check_output(build("resnet_small"), "m", torch.zeros(1, 1, 8, 8), classes=4)


def test_an_output_that_is_no_row_of_scores_is_refused():
    with pytest.raises(UserError, match=r"gives \(1, 3, 8, 8\)"):
        check_output(nn.Identity(), "m", torch.zeros(1, 3, 8, 8), classes=2)


def test_looking_at_the_output_leaves_the_model_as_it_was():
    model = build("resnet_small")
    frozen = next(each for each in model.modules() if isinstance(each, nn.BatchNorm2d)).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert check_output(model, "m", torch.ones(1, 3, 8, 8), classes=4) == 4
    assert model.training and not frozen.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
