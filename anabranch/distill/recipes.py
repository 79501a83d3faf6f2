"""How to train: the options of the training stages, each declared once. Light: the command line imports it."""

from dataclasses import dataclass
from typing import Annotated

from anabranch.options import Option, OptionSet

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a transformer block, by the names that most models give them."""

BatchTokens = Annotated[
    int, Option("Most tokens of a batch.", "Padding included; fewer where memory is short.", metavar="N", least=1)
]
Recompute = Annotated[
    bool, Option("Less memory, a third slower.", "Less of the forward pass is kept, and computed again.")
]
Seed = Annotated[
    int,
    Option(
        "Makes it repeatable.",
        "Orders, initial weights, dropout, tool catalogues; what is drawn, as far as a model's server does.",
        metavar="N",
    ),
]


@dataclass(frozen=True)
class Schedule(OptionSet):
    """What both stages are told.

    Attributes:
        base: name of the base model that the adapter will name.
    """

    base: str = ""
    learning_rate: Annotated[float, Option("Its peak.", "After the warm-up.", metavar="X")] = 1e-3
    epochs: Annotated[int, Option("Passes over the rows.", metavar="N", least=1)] = 1
    batch_tokens: BatchTokens = 12_288
    max_tokens: Annotated[int, Option("Longer rows are left out.", metavar="N", least=8)] = 1_536
    warmup: Annotated[
        float,
        Option("Share of the steps.", "In which the learning rate rises.", metavar="X", least=0, most=1),
    ] = 0.03
    evaluations: Annotated[int, Option("How often the held-out loss is taken.", metavar="N", least=1)] = 8
    patience: Annotated[int, Option("Evaluations without a better loss before it stops.", metavar="N", least=1)] = 3
    max_seconds: Annotated[
        float | None,
        Option(
            "Training ends by then.",
            "The learning rate falls so. A run that this cut short is not repeatable to the bit.",
            metavar="SECONDS",
            above=0,
        ),
    ] = None
    recompute: Recompute = False
    seed: Seed = 1


@dataclass(frozen=True)
class Recipe(Schedule):
    """How to fine-tune, besides what `Schedule` says."""

    rank: Annotated[int, Option("LoRA's rank.", metavar="N", least=1)] = 16
    alpha: Annotated[
        int | None,
        Option("LoRA's scale.", "As a multiple of 1 / rank.", metavar="N", least=1, shown="twice the rank"),
    ] = None
    dropout: Annotated[
        float,
        Option("On LoRA's input.", "Anything but 0 takes a slower forward pass.", metavar="X", least=0, most=1),
    ] = 0.0
    layers: Annotated[
        tuple[str, ...],
        Option("Linear layers that get an adapter, separated by commas.", metavar="NAMES", shown=",".join(LAYERS)),
    ] = LAYERS
    start: Annotated[
        str | None,
        Option("An adapter to go on from.", "Its rank, scale and layers are kept.", metavar="FOLDER"),
    ] = None

    def __post_init__(self) -> None:
        """Takes names apart that a command line gives in one text."""
        named = (name.strip() for text in self.layers for name in text.split(","))
        object.__setattr__(self, "layers", tuple(name for name in named if name))


@dataclass(frozen=True)
class PreferenceRecipe(Schedule):
    """How to train on preferences, besides what `Schedule` says."""

    beta: Annotated[float, Option("How dear it is to leave the reference.", metavar="X")] = 0.1
    sft_weight: Annotated[
        float, Option("Weight of the better plan's own loss.", "Per token; 0 is plain DPO.", metavar="X", least=0)
    ] = 1.0
    normalise: Annotated[
        bool, Option("Average over a plan's tokens.", "Beta should then be some 10 times as large.")
    ] = False
    smoothing: Annotated[
        float,
        Option(
            "Share of pairs in doubt.",
            "They are taken to be the wrong way round (conservative DPO).",
            metavar="X",
            least=0,
            most=0.5,
        ),
    ] = 0.0
    learning_rate: float = 5e-5
    warmup: float = 0.1


@dataclass(frozen=True)
class Updating(OptionSet):
    """How reinforcement changes the weights."""

    learning_rate: Annotated[float, Option("The same in all rounds.", "Of AdamW.", metavar="X", least=0)] = 8e-5
    clip: Annotated[float, Option("Largest norm of a step's gradient.", metavar="X", above=0)] = 1.0
    kl: Annotated[
        float,
        Option(
            "How dear it is to leave the first adapter.", "Weight of the divergence per token.", metavar="X", least=0
        ),
    ] = 0.0
    replay_weight: Annotated[float, Option("Of the replayed rows' loss.", "Per token.", metavar="X", least=0)] = 0.1
    batch_tokens: BatchTokens = 16_384
    recompute: Recompute = False


@dataclass(frozen=True)
class Reinforcement(Updating):
    """How to reinforce, besides what `Updating` says.

    Attributes:
        base: name of the base model that the adapter will name.
    """

    base: str = ""
    rounds: Annotated[int, Option("Steps there are.", metavar="N", least=1)] = 60
    questions_a_round: Annotated[int, Option("Questions drawn for in a round.", metavar="N", least=1)] = 64
    requests_a_round: Annotated[int, Option("Requests over tools drawn for in a round.", metavar="N", least=1)] = 16
    samples: Annotated[int, Option("Plans for each of them.", metavar="N", least=2)] = 8
    temperature: Annotated[float, Option("At which plans are drawn.", metavar="X", above=0)] = 1.0
    plan_tokens: Annotated[int, Option("Most tokens of a plan.", metavar="N", least=1)] = 320
    passages: Annotated[int, Option("Passages that a look-up returns.", metavar="N", least=1)] = 4
    replay_rows: Annotated[int, Option("Rows of the first training in each step.", metavar="N", least=0)] = 8
    max_tokens: Annotated[int, Option("Longer replayed rows are left out.", metavar="N", least=8)] = 1_536
    evaluate_every: Annotated[int, Option("Rounds between two runs of the tuning questions.", metavar="N", least=1)] = 5
    max_seconds: Annotated[float | None, Option("No round begins after so long.", metavar="SECONDS", above=0)] = None
    seed: Seed = 1
