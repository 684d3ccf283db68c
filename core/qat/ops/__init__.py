"""Pure tensor functions that quantizers are assembled from: straight-through ops, grid bounds."""

from qat.ops.backend import BackendReport as BackendReport
from qat.ops.backend import active_backend as active_backend
from qat.ops.backend import backend_report as backend_report
from qat.ops.backend import ensure_registered as ensure_registered
from qat.ops.bounds import floor_scale as floor_scale
from qat.ops.bounds import max_int as max_int
from qat.ops.bounds import min_int as min_int
from qat.ops.bounds import smallest_normal as smallest_normal
from qat.ops.native import NativeBackendWarning as NativeBackendWarning
from qat.ops.ste import abs_binary_sign_grad as abs_binary_sign_grad
from qat.ops.ste import binary_sign_ste as binary_sign_ste
from qat.ops.ste import ceil_ste as ceil_ste
from qat.ops.ste import dpu_round_ste as dpu_round_ste
from qat.ops.ste import floor_ste as floor_ste
from qat.ops.ste import round_ste as round_ste
from qat.ops.ste import round_to_zero_ste as round_to_zero_ste
from qat.ops.ste import scalar_clamp_min_ste as scalar_clamp_min_ste
from qat.ops.ste import scalar_clamp_ste as scalar_clamp_ste
from qat.ops.ste import tensor_clamp as tensor_clamp
from qat.ops.ste import tensor_clamp_ste as tensor_clamp_ste
from qat.ops.ste import tensor_clamp_ste_ as tensor_clamp_ste_
from qat.ops.ste import ternary_sign_ste as ternary_sign_ste
from qat.ops.values import binary_sign as binary_sign
from qat.ops.values import dpu_round as dpu_round
from qat.ops.values import ternary_sign as ternary_sign
