"""Images that models are trained on and measured with."""

from typing import TYPE_CHECKING

from qat_cli.lazy import looked_up

if TYPE_CHECKING:
    from qat_cli.data.batches import Batch as Batch
    from qat_cli.data.batches import Batches as Batches
    from qat_cli.data.batches import evaluation_batches as evaluation_batches
    from qat_cli.data.batches import training_batches as training_batches
    from qat_cli.data.dataset import Dataset as Dataset
    from qat_cli.data.dataset import Part as Part
    from qat_cli.data.images.preload import without_bad_files as without_bad_files
    from qat_cli.data.images.read_ahead import thread_count as thread_count
    from qat_cli.data.load import load_data as load_data
    from qat_cli.data.load import pinned as pinned
    from qat_cli.data.prepare import prepared as prepared
    from qat_cli.data.share import WHOLE as WHOLE
    from qat_cli.data.share import Share as Share

__getattr__ = looked_up(
    __name__,
    {
        "batches": ("Batch", "Batches", "evaluation_batches", "training_batches"),
        "dataset": ("Dataset", "Part"),
        "images.preload": ("without_bad_files",),
        "images.read_ahead": ("thread_count",),
        "load": ("load_data", "pinned"),
        "prepare": ("prepared",),
        "share": ("Share", "WHOLE"),
    },
)
