"""The module that a converted model is."""

from qat.graph.model.converted import ConvertedModel as ConvertedModel
