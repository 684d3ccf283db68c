"""The schema of a recipe: fields with meaning, default and bounds."""

from qat_cli.recipes.schema.base import StrictModel as StrictModel
from qat_cli.recipes.schema.checkpoint import CheckpointConfig as CheckpointConfig
from qat_cli.recipes.schema.data import AugmentConfig as AugmentConfig
from qat_cli.recipes.schema.data import DataConfig as DataConfig
from qat_cli.recipes.schema.data import FakeConfig as FakeConfig
from qat_cli.recipes.schema.distill import DistillConfig as DistillConfig
from qat_cli.recipes.schema.model import ModelConfig as ModelConfig
from qat_cli.recipes.schema.optimizer import OptimizerConfig as OptimizerConfig
from qat_cli.recipes.schema.ptq import CalibrateConfig as CalibrateConfig
from qat_cli.recipes.schema.quant import MatchConfig as MatchConfig
from qat_cli.recipes.schema.quant import QuantConfig as QuantConfig
from qat_cli.recipes.schema.quant import QuantizerConfig as QuantizerConfig
from qat_cli.recipes.schema.quant import RuleConfig as RuleConfig
from qat_cli.recipes.schema.quant import RuleQuantizerConfig as RuleQuantizerConfig
from qat_cli.recipes.schema.recipe import Recipe as Recipe
from qat_cli.recipes.schema.schedule import BitWidthConfig as BitWidthConfig
from qat_cli.recipes.schema.schedule import ScheduleConfig as ScheduleConfig
from qat_cli.recipes.schema.train import TrainConfig as TrainConfig
