import json
import subprocess
import sys

from anabranch.graphs.channels import Stored, plain
from anabranch.plan import Answer, Plan, SubQuestion, Usage

PLAN = Plan(sub_questions=(SubQuestion(id=1, text="a"), SubQuestion(id=2, text="b {1}")))


def test_readers_see_the_type_and_checkpoints_plain_data() -> None:
    channel = Stored(Plan)
    channel.update([plain(PLAN)])
    assert channel.get() == PLAN
    stored = channel.checkpoint()
    assert json.loads(json.dumps(stored)) == stored
    assert Stored(Plan).from_checkpoint(json.loads(json.dumps(stored))).get() == PLAN


def test_models_by_key_keep_their_keys() -> None:
    channel = Stored(dict[int, Answer])
    answers = {3: Answer(id=3, text="x", usage=Usage(calls=1, usd=None))}
    channel.update([plain(answers)])
    restored = Stored(dict[int, Answer]).from_checkpoint(json.loads(json.dumps(channel.checkpoint())))
    assert restored.get() == answers


def test_an_empty_channel_stays_empty() -> None:
    assert not Stored(Plan).from_checkpoint(Stored(Plan).checkpoint()).is_available()


STRICT = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from tests.graphs.scripts import CRAIGSLIST, ask, planner, thread

outer = StateGraph(MessagesState)
calls = []
def solver(prompt):
    if "born in" in prompt and not calls:
        calls.append(1)
        return ConnectionError("away")
    from tests.graphs.scripts import reader
    return reader(prompt)
outer.add_node("planner", planner(lambda p: CRAIGSLIST, solver))
outer.add_edge(START, "planner")
graph = outer.compile(checkpointer=InMemorySaver())
try:
    graph.invoke(ask(), thread())
except Exception as error:
    print(type(error).__name__)
print(graph.invoke(None, thread())["messages"][-1].text)
"""


def test_strict_checkpointers_keep_and_restore_a_planner_inside_another_graph() -> None:
    environment = {"LANGGRAPH_STRICT_MSGPACK": "true", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", STRICT], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "EndpointError\nIn 1952\n"
    assert done.stderr == ""
