"""A support bot: documents, a look-up, an action that a person approves, and threads that survive a restart.

Each command below is a process of its own, so the bot restarts between all turns, also while a decision is open:

    python examples/support_bot.py "What is the state of my order 1042?"
    python examples/support_bot.py "Please cancel it."          # asks for approval, with the final arguments
    python examples/support_bot.py --approve                    # or --reject; the order is cancelled once
    python examples/support_bot.py "And when do I get my money back?"

`--model` takes every name that anabranch knows: `openai:gpt-5-mini`, `http://localhost:8000/v1`, ...
"""

import argparse
import json
from pathlib import Path
from typing import Any

from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from anabranch import create_planner, document_search

HERE = Path(__file__).parent / "support"
SYSTEM = SystemMessage("You are the friendly assistant of a shop for boats. Answer in one or two sentences.")
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("message", nargs="?")
arguments.add_argument("--approve", action="store_true", help="carry out the proposed action")
arguments.add_argument("--reject", action="store_true", help="leave it")
arguments.add_argument("--model", default="openai:gpt-5-mini")
arguments.add_argument("--thread", default="customer-7")
arguments.add_argument("--state", type=Path, default=Path("support-state"), help="folder of threads and orders")


def shop(orders: Path) -> list[Any]:
    """The tools; `orders` is the shop's database."""

    @tool
    def order_status(order_id: int) -> str:
        """Tells the state of an order: what was ordered, for how much, and where the parcel is."""
        return json.dumps({order_id: json.loads(orders.read_text()).get(str(order_id), "there is no such order")})

    @tool
    def cancel_order(order_id: int) -> str:
        """Cancels an order that has not been sent yet."""
        known = json.loads(orders.read_text())
        known[str(order_id)]["state"] = "cancelled"
        orders.write_text(json.dumps(known))
        return f"Order {order_id} is cancelled."

    cancel_order.metadata = {"effects": True}  # it changes something: a person approves, and it is never done twice
    handbook = document_search(HERE, name="handbook", description="Finds rules on shipping, returns and warranty.")
    return [handbook, order_status, cancel_order]


def main() -> None:
    args = arguments.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    orders = args.state / "orders.json"
    if not orders.exists():
        orders.write_text(json.dumps({"1042": {"item": "anchor", "euros": 89, "state": "packed, not sent yet"}}))
    thread: Any = {"configurable": {"thread_id": args.thread}}
    with SqliteSaver.from_conn_string(str(args.state / "threads.sqlite")) as threads:
        bot = create_planner(decomposer=args.model, solver=args.model, tools=shop(orders), checkpointer=threads)
        if args.approve or args.reject:
            value: Any = Command(resume="approve" if args.approve else "reject")
        else:
            begun = bot.get_state(thread).values
            value = {"messages": [*([] if begun else [SYSTEM]), ("user", args.message or "Hello!")]}
        result = bot.invoke(value, thread)
    for request in result.get("__interrupt__", ()):
        for action in request.value["action_requests"]:
            print(f"May I? {action['name']}({action['args']})  --approve or --reject")
        return
    print(result["answer"])
    for source in result["sources"]:
        print(f"  [{source.label}]")


if __name__ == "__main__":
    main()
