"""The options of XCons."""

from keras_xcons import attacks
from keras_xcons.consistency import AGREEMENTS, MAP_MEASURES, WEIGHT_SCALES
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.options import default_of, option, table

SCHEDULES = ("batch", "memory", "epoch")
SAMPLE_WEIGHTS = ("uniform", "consistency", "shuffled", "loss")
ATTACKS = ("fgsm", "pgd", "swap")
BALANCES = (None, "class")
# The bare transcription of what is known of the paper, its settings our choice.
PAPER = {
    "sample_weights": "consistency",
    "measure": "cosine",
    "effective_share": None,
    "attacked_loss": 0.0,
    "consistency_loss": 0.0,
}


@table
class XConsOptions(MethodOptions):
    """The options of XCons.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    presets = {"paper": PAPER}

    preset: str | None = option(
        None,
        "paper: the bare transcription of what is known of the paper, as defaults of "
        "the other options: "
        + ", ".join(f"{name}={value!r}" for name, value in PAPER.items())
        + ".",
        choices=(None, "paper"),
    )
    schedule: str = option(
        "batch",
        "When v is measured. batch: in this step, before its weight update. memory: "
        "when the sample was last seen; cheaper, needs sample ids. epoch: in a sweep "
        "over the training set every `sweep_every` epochs; steps cost what plain steps "
        "cost, needs sample ids. Terms are of each step under any.",
        choices=SCHEDULES,
    )
    num_samples: int | None = option(
        None,
        "Number of training samples, needed with sample ids.",
        low=1,
        told=False,
    )
    sample_weights: str = option(
        "uniform",
        "What weighs the samples. uniform: all weights 1. consistency: v, how far the "
        "explanation of each moves, as in the paper. shuffled: the same, permuted "
        "within the batch, a control. loss: the loss, so that hard samples count more, "
        "a control.",
        choices=SAMPLE_WEIGHTS,
    )
    region: str = option(
        "background",
        "What is attacked; whole_image is a control.",
        choices=attacks.REGIONS,
    )
    threshold: float = option(
        0.5,
        "Background is where the heatmap is below this share of its maximum.",
        low=0.0,
        high=1.0,
    )
    attack: str = option(
        "fgsm",
        "Attack on the background; PGD has a random start. swap: no attack, but the "
        "background of another image of the batch (ours).",
        choices=ATTACKS,
    )
    epsilon: float = option(
        4.0, "Strength of the attack, in 0..255.", low=0.0, high=255.0
    )
    step_size: float = option(1.0, "Step of PGD, in 0..255.", above=0.0, high=255.0)
    attack_steps: int = option(5, "Steps of PGD.", low=1, high=10_000)
    measure: str = option(
        "soft_iou",
        "How alike two maps are, see `keras_xcons.consistency`.",
        choices=MAP_MEASURES,
    )
    agreement: str | None = option(
        None,
        "None for E from maps alone, or hard or soft to multiply it by how well the "
        "prediction survives.",
        choices=AGREEMENTS,
    )
    weight_scale: str = option(
        "mean",
        "What a sample weighs: v / mean(v), v, or 1 + v, the mild form for networks "
        "whose explanations hardly move.",
        choices=WEIGHT_SCALES,
    )
    weight_floor: float = option(
        0.1,
        "Smallest weight, as a share of the mean one. Under the memory schedule keep "
        "it above 0: a sample of weight 0 has no gradient to be attacked with, and "
        "stays there.",
        low=0.0,
        high=1.0,
    )
    effective_share: float | None = option(
        0.8,
        "Smallest effective number of samples that the weights leave, as a share of "
        "the batch: they are drawn towards 1 as far as that takes, under the weight "
        "scale mean. None for no bound. Ours.",
        above=0.0,
        high=1.0,
    )
    balance: str | None = option(
        None,
        "class: v as a share of the running mean of its class, so that no class is "
        "starved. Not for multi-hot labels. Ours.",
        choices=BALANCES,
    )
    memory_momentum: float = option(
        0.0,
        "Share of its old value that a sample keeps when it is measured again, under "
        "the memory and epoch schedules: v averaged over visits. Ours.",
        low=0.0,
        high=0.999,
    )
    warmup_epochs: int = option(0, "Epochs with all weights 1.", low=0)
    clean_loss: bool = option(
        True,
        "Whether to learn from the images themselves. Without, from attacked images "
        "alone: adversarial training, a control. `attacked_loss` is then the factor of "
        "the only loss, and must be above 0.",
    )
    attacked_loss: float = option(
        0.3,
        "Factor α of the loss of the attacked images, beside that of the images. Ours.",
        low=0.0,
    )
    consistency_loss: float = option(
        0.3,
        "Factor λ of an explicit loss term, the mean of `λ · (1 - E)`, beside the "
        "weights. Ours.",
        low=0.0,
    )
    every: int = option(
        1,
        "Images are attacked in each so many-th step alone; the steps between cost "
        "what plain steps cost, under the weights that are remembered. Ours.",
        low=1,
    )
    sweep_every: int = option(1, "Epochs between sweeps of the epoch schedule.", low=1)

    def __post_init__(self):
        super().__post_init__()
        if self.needs_sample_ids and self.num_samples is None:
            raise ValueError(
                f"The {self.schedule!r} schedule remembers one weight a sample. Pass "
                "`num_samples`, the number of training samples. Received: "
                "num_samples=None"
            )
        if self.balance == "class" and self.multi_label:
            raise ValueError(
                "`balance` takes images of one class each. Received: balance='class', "
                "multi_label=True"
            )
        if self.attack == "swap" and self.region != "background":
            raise ValueError(
                "The swap takes another background, and so another region than "
                "'background' is none for it. Received: attack='swap', "
                f"region={self.region!r}"
            )
        if not self.clean_loss and (self.attacked_loss == 0.0 or self.every > 1):
            raise ValueError(
                "Without `clean_loss` every step learns from attacked images: with "
                "`attacked_loss` above 0 and `every` 1. Received: clean_loss=False, "
                f"attacked_loss={self.attacked_loss}, every={self.every}"
            )

    def without_effect(self):
        """What was set of the weights and changes nothing, beside other options.

        Returns:
            Dict from the name of an option to why.
        """
        idle = {}
        if self.sample_weights == "uniform":
            names = (
                *("weight_scale", "weight_floor", "effective_share", "balance"),
                *("memory_momentum", "warmup_epochs"),
            )
            idle |= dict.fromkeys(names, "sample_weights='uniform'")
        elif self.weight_scale != "mean":
            idle["effective_share"] = f"weight_scale={self.weight_scale!r}"
        if not self.needs_sample_ids:
            idle["memory_momentum"] = f"schedule={self.schedule!r}"
        usual = {name: default_of(type(self), name) for name in idle}
        if self.preset is not None:
            usual |= self.presets[self.preset]
        return {
            name: why
            for name, why in idle.items()
            if getattr(self, name) not in (usual[name], None)
        }

    @property
    def needs_sample_ids(self):
        """Whether weights outlive a batch, so that samples must be told apart."""
        return self.schedule in ("memory", "epoch")

    @property
    def attacks_in_step(self):
        """Whether a training step looks at attacked images at all."""
        return self.schedule != "epoch" or self.learns_from_attack

    @property
    def attacks_first(self):
        """Whether the loss of a step depends on that step's attacked images.

        If not, FGSM takes its gradient from the backward pass that updates the
        weights: an image's gradient has the same sign for every positive weight.
        """
        return self.schedule == "batch" or self.learns_from_attack

    @property
    def learns_from_attack(self):
        """Whether gradients flow through the pass over attacked images."""
        return self.consistency_loss > 0.0 or self.attacked_loss > 0.0
