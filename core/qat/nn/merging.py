"""The documented path of merging batch norms into layers."""

from qat.nn.base.merge_bn import merge_batch_norm as merge_batch_norm
from qat.nn.base.merge_bn import of_batch_norm as of_batch_norm
from qat.nn.base.merge_bn import output_channels as output_channels
from qat.nn.base.merge_bn import scale_and_shift as scale_and_shift
