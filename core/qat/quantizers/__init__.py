"""Ready-made quantizers, by the names of the public library Brevitas."""

from .activation import Int8ActPerTensorFixedPoint as Int8ActPerTensorFixedPoint
from .activation import Int8ActPerTensorFloat as Int8ActPerTensorFloat
from .activation import Int8ActPerTensorFloatMinMaxInit as Int8ActPerTensorFloatMinMaxInit
from .activation import Int8ActPerTensorFloatMSE as Int8ActPerTensorFloatMSE
from .activation import SignedBinaryActPerTensorConst as SignedBinaryActPerTensorConst
from .activation import SignedTernaryActPerTensorConst as SignedTernaryActPerTensorConst
from .activation import Uint8ActPerTensorFixedPoint as Uint8ActPerTensorFixedPoint
from .activation import Uint8ActPerTensorFloat as Uint8ActPerTensorFloat
from .activation import Uint8ActPerTensorFloatMaxInit as Uint8ActPerTensorFloatMaxInit
from .activation import Uint8ActPerTensorFloatMSE as Uint8ActPerTensorFloatMSE
from .bias import Int8Bias as Int8Bias
from .bias import Int8BiasPerTensorFloatInternalScaling as Int8BiasPerTensorFloatInternalScaling
from .bias import Int16Bias as Int16Bias
from .bias import Int32Bias as Int32Bias
from .ready_made import ready_made as ready_made
from .ready_made import ready_made_names as ready_made_names
from .weight import Int8WeightPerChannelFloat as Int8WeightPerChannelFloat
from .weight import Int8WeightPerChannelFloatMSE as Int8WeightPerChannelFloatMSE
from .weight import Int8WeightPerTensorFixedPoint as Int8WeightPerTensorFixedPoint
from .weight import Int8WeightPerTensorFloat as Int8WeightPerTensorFloat
from .weight import Int8WeightPerTensorFloatMSE as Int8WeightPerTensorFloatMSE
from .weight import SignedBinaryWeightPerTensorConst as SignedBinaryWeightPerTensorConst
from .weight import SignedTernaryWeightPerTensorConst as SignedTernaryWeightPerTensorConst
