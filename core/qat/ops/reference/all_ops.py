"""Every op of the library in its Python implementation, under the name that it is registered by."""

from qat.ops.reference.fake_quantize import binary_fake_quantize as binary_fake_quantize
from qat.ops.reference.fake_quantize import int_fake_quantize as int_fake_quantize
from qat.ops.reference.fake_quantize import maximum_int_fake_quantize as maximum_int_fake_quantize
from qat.ops.reference.fake_quantize import ternary_fake_quantize as ternary_fake_quantize
from qat.ops.reference.fake_quantize import (
    threshold_int_fake_quantize as threshold_int_fake_quantize,
)
from qat.ops.reference.statistics import abs_kth_largest as abs_kth_largest
from qat.ops.reference.ste import abs_binary_sign_grad as abs_binary_sign_grad
from qat.ops.reference.ste import binary_sign_ste as binary_sign_ste
from qat.ops.reference.ste import ceil_ste as ceil_ste
from qat.ops.reference.ste import dpu_round_ste as dpu_round_ste
from qat.ops.reference.ste import floor_ste as floor_ste
from qat.ops.reference.ste import positive_ste as positive_ste
from qat.ops.reference.ste import round_ste as round_ste
from qat.ops.reference.ste import round_to_zero_ste as round_to_zero_ste
from qat.ops.reference.ste import scalar_clamp_min_ste as scalar_clamp_min_ste
from qat.ops.reference.ste import scalar_clamp_ste as scalar_clamp_ste
from qat.ops.reference.ste import scale_from_threshold as scale_from_threshold
from qat.ops.reference.ste import tensor_clamp as tensor_clamp
from qat.ops.reference.ste import tensor_clamp_ste as tensor_clamp_ste
from qat.ops.reference.ste import tensor_clamp_ste_ as tensor_clamp_ste_
from qat.ops.reference.ste import ternary_sign_ste as ternary_sign_ste
