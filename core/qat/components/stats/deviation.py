"""Mean magnitude plus a number of standard deviations, given or learned."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.stats.order import elements
from qat.components.stats.wrappers import Statistic, widened

#: Added to the variance, so that the gradient of its root stays finite where all is equal.
DEFAULT_STD_DEV_EPSILON = 1e-8


def mean_and_deviation(x: Tensor, dim: Optional[int], epsilon: float) -> Tuple[Tensor, Tensor]:
    """Mean of ``|x|``, and its standard deviation ``sqrt(var + epsilon)``, at least float32.

    The variance is the unbiased one, and 0 of a single element.
    """
    magnitudes = widened(torch.abs(x))  # half precision loses epsilon
    correction = 1 if elements(x, dim) > 1 else 0
    if dim is None:
        mean = torch.mean(magnitudes)
        variance = torch.var(magnitudes, dim=None, correction=correction)
    else:
        mean = torch.mean(magnitudes, dim=dim)
        variance = torch.var(magnitudes, dim=[dim], correction=correction)
    return mean, torch.sqrt(variance + epsilon)


class MeanSigmaStd(Statistic):
    """``mean |x| + sigma * std |x|`` with a constant ``sigma``.

    Args:
        sigma: number of standard deviations.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        std_dev_epsilon: added to the variance.
    """

    def __init__(
        self,
        sigma: float,
        stats_reduce_dim: Optional[int] = None,
        std_dev_epsilon: float = DEFAULT_STD_DEV_EPSILON,
    ) -> None:
        super().__init__(stats_reduce_dim)
        self.sigma = float(sigma)
        self.epsilon = float(std_dev_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = mean_and_deviation(x, self.stats_reduce_dim, self.epsilon)
        return (mean + self.sigma * deviation).to(x.dtype)


class MeanLearnedSigmaStd(Statistic):
    """``mean |x| + sigma * std |x|`` with a learned ``sigma``, the parameter ``value``.

    Args:
        sigma: initial number of standard deviations.
        stats_output_shape: shape of the parameter: one element, or one per row of the view.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        std_dev_epsilon: added to the variance.
    Gradient: to ``value``, ``std |x|``.
    """

    def __init__(
        self,
        sigma: float,
        stats_output_shape: Tuple[int, ...] = (),
        stats_reduce_dim: Optional[int] = None,
        std_dev_epsilon: float = DEFAULT_STD_DEV_EPSILON,
    ) -> None:
        super().__init__(stats_reduce_dim)
        self.value = nn.Parameter(torch.full(tuple(stats_output_shape), float(sigma)))
        self.epsilon = float(std_dev_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = mean_and_deviation(x, self.stats_reduce_dim, self.epsilon)
        sigma = self.value.reshape([]) if self.value.numel() == 1 else self.value.reshape(-1)
        return (mean + sigma * deviation).to(x.dtype)
