"""The ``train`` section of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from qat_cli.recipes.schema.base import StrictModel


class TrainConfig(StrictModel):
    """The training loop."""

    epochs: PositiveInt = Field(default=10, description="Passes over the training images.")
    batch_size: PositiveInt = Field(
        default=64, description="Images per training batch; with several processes, of each."
    )
    accumulate: PositiveInt = Field(
        default=1,
        description="Batches per optimizer step, which takes the mean over all their images; the "
        "schedule counts optimizer steps.",
    )
    auto_batch: bool = Field(
        default=False,
        description="Before training, halve batch_size until a step fits into memory, and raise "
        "accumulate so that an optimizer step has as many images; the run's recipe.yaml has what "
        "was found.",
    )
    eval_batch_size: PositiveInt = Field(default=256, description="Images per evaluation step.")
    seed: NonNegativeInt = Field(
        default=0, description="Seed of weights, order of images and augmentation."
    )
    compile: bool = Field(
        default=False,
        description="Train through torch.compile: the first step takes a minute or more, those "
        "after it less time on a GPU; one process, not with the jit backend.",
    )
    deterministic: bool = Field(
        default=False,
        description="Use only operations that give the same bits when repeated; one that cannot is "
        "an error. Seeds are set in any case.",
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Probability spread over the other classes."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto (a GPU if there is one), cpu, mps, cuda or cuda:N.",
    )
    backend: Literal["auto", "python", "native", "jit"] = Field(
        default="auto",
        description="What the quantizers run on: python, native (C++, compiled on first use), jit "
        "(TorchScript) or auto (native on a CPU where it can be compiled, else python); QAT_JIT "
        "and QAT_NATIVE_STE_BACKEND, where set, decide.",
    )
    logger: Literal["none", "tensorboard"] = Field(
        default="none",
        description="Where the figures of every epoch go beside metrics.csv: tensorboard, which "
        "must be installed, writes event files into the run folder.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="What layers compute with in training, where that is safe; weights, scales "
        "of quantizers and evaluation stay float32.",
    )
    channels_last: bool = Field(
        default=False, description="Keep images as (N, H, W, C) in memory; often faster."
    )
    latent_clip: PositiveFloat | None = Field(
        default=None,
        description="Clamp the latent weights of binary layers to [-c, c] after each step; null: "
        "off.",
    )
    divergence_factor: float | None = Field(
        default=10.0,
        gt=1,
        description="Stop when the mean loss of an epoch is so many times that of the first epoch, "
        "or of guessing where that is more; null: go on.",
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Validate, and keep as the best, a moving average of the weights over about "
        "1 / (1 - decay) steps, begun when quantizers have their statistics; null: the weights.",
    )
    bit_width_penalty: NonNegativeFloat = Field(
        default=0.0,
        description="Added to the loss for every bit of the mean bit width of the weights and of "
        "that of the activations, where they are learned (bit_width_impl_type: parameter).",
    )
    bit_width_weighting: Literal["size", "macs"] = Field(
        default="size",
        description="What a weight's bits count by in the mean: size (stored once) or macs (its "
        "multiplications per image); activations count once per image.",
    )
    sync_batch_norm: bool = Field(
        default=True,
        description="With several processes: batch norms take their statistics over the batches of "
        "all of them, as one process with all the images would; false: each process over its own, "
        "and the running ones of the first are kept.",
    )
    early_stopping_patience: PositiveInt | None = Field(
        default=None,
        description="Stop after so many epochs without a higher validation top-1; null: off.",
    )
