"""Float models: built in, from torchvision or timm, or the user's own."""

from typing import TYPE_CHECKING

from qat_cli.lazy import looked_up

if TYPE_CHECKING:
    from qat_cli.models.build import build_model as build_model
    from qat_cli.models.build import check_output as check_output
    from qat_cli.models.build import first_conv_channels as first_conv_channels
    from qat_cli.models.build import torchvision_names as torchvision_names
    from qat_cli.models.build import without_wrappers as without_wrappers
    from qat_cli.models.built_in import BUILT_IN as BUILT_IN
    from qat_cli.models.built_in import OWN_SIZE as OWN_SIZE
    from qat_cli.models.timm_models import timm_names as timm_names
    from qat_cli.models.user_code import absolute_name as absolute_name
    from qat_cli.models.user_code import is_user_code as is_user_code

__getattr__ = looked_up(
    __name__,
    {
        "build": (
            "build_model",
            "check_output",
            "first_conv_channels",
            "torchvision_names",
            "without_wrappers",
        ),
        "built_in": ("BUILT_IN", "OWN_SIZE"),
        "timm_models": ("timm_names",),
        "user_code": ("absolute_name", "is_user_code"),
    },
)
