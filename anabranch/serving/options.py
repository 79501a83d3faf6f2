"""The options of servers, each declared once. Light: the command line imports it for `--help`."""

from dataclasses import dataclass
from typing import Annotated

from anabranch.options import Option, OptionSet


@dataclass(frozen=True, kw_only=True)
class Limits(OptionSet):
    """What a server takes on."""

    max_concurrency: Annotated[int, Option("Most questions worked on at the same time.", metavar="N", least=1)] = 8
    max_queue: Annotated[int, Option("Most questions waiting; more are refused.", metavar="N", least=0)] = 64
    timeout: Annotated[
        float, Option("Seconds one request may take, the wait included.", metavar="SECONDS", above=0)
    ] = 300.0


@dataclass(frozen=True, kw_only=True)
class Listening(OptionSet):
    """Where a server listens."""

    host: Annotated[str, Option("Address to listen on.", metavar="ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Option("Port to listen on; 0 takes a free one.", metavar="N", least=0, most=65535)] = 8080
    insecure: Annotated[bool, Option("Listen on other than loopback addresses without an API key.")] = False


@dataclass(frozen=True, kw_only=True)
class Access(OptionSet):
    """Who may come in, and how often."""

    api_key_file: Annotated[
        str | None,
        Option("API keys that clients must send, one a line. ANABRANCH_SERVER_KEY sets one, too.", metavar="FILE"),
    ] = None
    allowed_host: Annotated[
        tuple[str, ...],
        Option(
            "Name by which the server may be asked for, besides localhost; * for all.",
            metavar="NAME",
            shown="all where it listens on other than loopback addresses",
        ),
    ] = ()
    rate: Annotated[str | None, Option("Most requests of one key or address, such as 60/minute.", metavar="N/UNIT")] = (
        None
    )
    max_body: Annotated[int, Option("Largest request body, without images.", metavar="BYTES", least=1)] = 1_048_576
    max_images: Annotated[int, Option("Most images in a request body; 0 for none.", metavar="BYTES", least=0)] = (
        20_971_520
    )
