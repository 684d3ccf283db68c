"""Quantized layers: torch's own with quantizers.

This table of contents is also the registry that conversion reads, see :mod:`qat.graph.layers`.
"""

from qat.nn.accumulator import ClampQuantAccumulator as ClampQuantAccumulator
from qat.nn.accumulator import TruncQuantAccumulator as TruncQuantAccumulator
from qat.nn.activation import QuantGELU as QuantGELU
from qat.nn.activation import QuantHardSigmoid as QuantHardSigmoid
from qat.nn.activation import QuantHardSwish as QuantHardSwish
from qat.nn.activation import QuantHardTanh as QuantHardTanh
from qat.nn.activation import QuantIdentity as QuantIdentity
from qat.nn.activation import QuantLeakyReLU as QuantLeakyReLU
from qat.nn.activation import QuantReLU as QuantReLU
from qat.nn.activation import QuantReLU6 as QuantReLU6
from qat.nn.activation import QuantSigmoid as QuantSigmoid
from qat.nn.activation import QuantSiLU as QuantSiLU
from qat.nn.activation import QuantTanh as QuantTanh
from qat.nn.attention import QuantMultiheadAttention as QuantMultiheadAttention
from qat.nn.attention import (
    QuantScaledDotProductAttention as QuantScaledDotProductAttention,
)
from qat.nn.attention import (
    ScaledDotProductAttention as ScaledDotProductAttention,
)
from qat.nn.batch_norm import BatchNorm1dToQuantScaleBias as BatchNorm1dToQuantScaleBias
from qat.nn.batch_norm import BatchNorm2dToQuantScaleBias as BatchNorm2dToQuantScaleBias
from qat.nn.conv import QuantConv1d as QuantConv1d
from qat.nn.conv import QuantConv2d as QuantConv2d
from qat.nn.conv import QuantConv3d as QuantConv3d
from qat.nn.conv_transpose import QuantConvTranspose1d as QuantConvTranspose1d
from qat.nn.conv_transpose import QuantConvTranspose2d as QuantConvTranspose2d
from qat.nn.conv_transpose import QuantConvTranspose3d as QuantConvTranspose3d
from qat.nn.embedding import QuantEmbedding as QuantEmbedding
from qat.nn.join import QuantCat as QuantCat
from qat.nn.join import QuantEltwiseAdd as QuantEltwiseAdd
from qat.nn.linear import QuantLinear as QuantLinear
from qat.nn.pool import QuantAdaptiveAvgPool2d as QuantAdaptiveAvgPool2d
from qat.nn.pool import QuantAdaptiveMaxPool2d as QuantAdaptiveMaxPool2d
from qat.nn.pool import QuantAvgPool2d as QuantAvgPool2d
from qat.nn.pool import QuantMaxPool1d as QuantMaxPool1d
from qat.nn.pool import QuantMaxPool2d as QuantMaxPool2d
from qat.nn.pool import QuantMaxPool3d as QuantMaxPool3d
from qat.nn.rnn import QuantGRU as QuantGRU
from qat.nn.rnn import QuantLSTM as QuantLSTM
from qat.nn.rnn import QuantRNN as QuantRNN
from qat.nn.scale_bias import QuantScaleBias as QuantScaleBias
from qat.nn.scale_bias import ScaleBias as ScaleBias
from qat.nn.sharding import replicated_parameters as replicated_parameters
from qat.nn.trunc_pool import TruncAdaptiveAvgPool2d as TruncAdaptiveAvgPool2d
from qat.nn.trunc_pool import TruncAvgPool2d as TruncAvgPool2d
from qat.nn.upsample import QuantUpsample as QuantUpsample
from qat.nn.upsample import QuantUpsamplingBilinear2d as QuantUpsamplingBilinear2d
from qat.nn.upsample import QuantUpsamplingNearest2d as QuantUpsamplingNearest2d
