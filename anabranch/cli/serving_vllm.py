"""`anabranch serve decomposer`: from options to a vLLM process that is kept up."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import typer

from anabranch.cli.failures import complain
from anabranch.cli.views import View, opened_view
from anabranch.serving import vllm
from anabranch.serving.options import Listening
from anabranch.serving.supervisor import Patience, Supervisor


def run(values: Mapping[str, Any]) -> None:
    """Serves a distilled decomposer until it is stopped.

    Args:
        values: the command's options, by name.

    Raises:
        UserError, BackendError: the options, the weights, vLLM or the address cannot be used, or vLLM keeps crashing.
        KeyboardInterrupt: Ctrl-C, after vLLM has ended.
    """
    arguments, at = values["arguments"] or (), Listening.of(values, attrgetter("flag"))
    with opened_view(quiet=False) as view:
        port = vllm.check_address(at.host, at.port, arguments, insecure=at.insecure)
        found = vllm.find_vllm(values["python"], say=view.status)
        weights = vllm.find_weights(values["adapter"], values["base"], lora=values["lora"], say=view.status)
        program = vllm.program(weights, found, host=at.host, port=port, arguments=arguments, engines=values["engines"])
        address = f"{program.health.removesuffix('/health')}/v1#{weights.name}"
        supervisor = Supervisor(
            program,
            Patience(start=values["start_timeout"]),
            say=view.status,
            ready=lambda pid: _tell(view, address, program.log, pid),
        )
        view.note(f"log: {program.log}")
        supervisor.run()
    complain("vLLM has ended")


def _tell(view: View, address: str, log: object, pid: int) -> None:
    view.close()
    view.note(f"vLLM is up (process {pid}); use it with: anabranch plan QUESTION --decomposer {address}")
    typer.echo(address)
