"""Files from the command to the first step."""

import pytest

from tools.docs.architecture.walks import training_walk

#: The walk itself; the other parts are called for an answer (a recipe, a data set), and left again.
WALK = ("main.py", "app", "commands", "engine")


@pytest.fixture(scope="module")
def entered():
    """Files of ``qat_cli`` entered by ``qat train`` with a shipped recipe up to its loop."""
    return [path.removeprefix("qat_cli/").split("/") for path in training_walk()]


def test_the_walk_ends_in_the_loop_after_no_more_files_than_today(entered):
    assert entered[-1] == ["engine", "run", "loop.py"]
    assert len(entered) <= 60


def test_at_most_25_of_them_lead_from_the_command_to_the_first_step(entered):
    assert len([path for path in entered if path[0] in WALK]) <= 25
    assert len([path for path in entered if path[0] in (*WALK, "recipes")]) <= 36


def test_a_plain_run_enters_nothing_that_it_does_not_use(entered):
    files = {path[-1] for path in entered}
    unused = {"teacher.py", "float_reference.py", "compiled.py", "replicas.py", "statistics.py"}
    unused |= {"sync_batch_norm.py", "auto_batch.py", "timed_steps.py", "advice.py", "estimate.py"}
    unused |= {"bit_width_schedule.py", "bit_width_penalty.py", "launcher.py"}
    assert not files & unused
