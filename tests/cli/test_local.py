"""The command line with the in-process model."""

import json
from pathlib import Path

import pytest

from anabranch.codecs import from_dict
from anabranch.config import Settings
from tests.cli import scenario


@pytest.mark.model
@pytest.mark.timeout(400)
def test_a_plan_of_the_local_model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The cache of the user, where the model is likely to be prepared already.
    monkeypatch.delenv("ANABRANCH_CACHE_DIR")
    cache = str(Settings().cache_dir)
    question = "A shop has 14 boxes of 30 pens and sells 95 pens. How many pens are left?"
    process = scenario.run(home, "plan", question, "--json", ANABRANCH_CACHE_DIR=cache)
    assert process.returncode == 0, process.stderr
    assert from_dict(json.loads(process.stdout)).sub_questions
    assert process.stderr.splitlines()[1] == "preparing the local model"
    assert process.stderr.rstrip().endswith("$0")
