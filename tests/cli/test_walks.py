"""Files from the command to the first step."""

import pytest

from tools.docs.architecture.walks import training_walk

#: Parts that the walk calls for an answer and comes back from: what is between is the walk itself.
SERVICES = ("terminal", "data", "models", "checkpoint", "report")


@pytest.fixture(scope="module")
def entered():
    """Files of ``qat_cli`` entered by ``qat train`` with a shipped recipe up to its loop."""
    return [path.removeprefix("qat_cli/").split("/") for path in training_walk()]


def test_the_walk_ends_in_the_loop_after_no_more_files_than_today(entered):
    assert entered[-1] == ["engine", "run", "loop.py"]
    assert len(entered) <= 60


def test_few_of_them_are_in_the_engine_and_few_are_no_services(entered):
    assert len([path for path in entered if path[0] == "engine"]) <= 19
    assert len([path for path in entered if path[0] not in SERVICES]) <= 36


def test_a_plain_run_enters_nothing_that_it_does_not_use(entered):
    files = {path[-1] for path in entered}
    unused = {"teacher.py", "float_reference.py", "compiled.py", "replicas.py", "statistics.py"}
    unused |= {"sync_batch_norm.py", "auto_batch.py", "timed_steps.py", "advice.py", "estimate.py"}
    unused |= {"bit_width_schedule.py", "bit_width_penalty.py", "launcher.py"}
    assert not files & unused
