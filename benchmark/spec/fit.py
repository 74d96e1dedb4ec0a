"""A fit and its identity, and its labels.

Everything here is a value: free of paths, devices and clocks. Two machines that resolve the same sweep get the
same `fit_id`s.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.spec.preprocessing import PLAIN, Preprocessing
from benchmark.spec.values import Name, Value, digest

#: Raised when the meaning of a fit's identity changes; older records then show as stale.
SCHEMA = 1

#: Which model is scored: the last, or the best on held-out training images or on the test queries.
Selection = Literal["last", "val", "peek"]
#: Of a network's arithmetic; `auto` lets the device decide.
Precision = Literal["auto", "fp32", "tf32", "bf16"]
#: Which wrong label noise gives; see `LabelRule`.
NoiseKind = Literal["symmetric", "class-conditional"]
#: What becomes of images without a label.
HiddenImages = Literal["unlabelled", "dropped"]
#: What training curves measure; `fd` is the Fréchet distance of generated images.
CurveMetric = Literal["map", "accuracy", "fd", "samples"]

#: Backbones keep the names that torchvision and timm give them, such as `vit_base_patch16_224`.
BackboneName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]

#: What stands between features and bits: one layer, or a hidden one of N units and a ReLU before it.
Head = Annotated[str, Field(pattern=r"^(|linear|mlp:[1-9][0-9]{0,4})$")]


class LabelRule(Value):
    """Which training labels a method sees, and how many of them are wrong.

    Attributes
    ----------
    fraction : float
        The share of the training labels that is shown, above 0 to 1.
    per_class : int or None
        So many labelled images a class instead; `fraction` is then 1 and means nothing.
    noise : float
        The share of the shown labels that is replaced, from 0 to below 1.
    noise_kind : str
        By what: any other class alike (`symmetric`), or the class's fixed confusion partner (`class-conditional`).
    hidden : str
        Whether images without a label are handed over `unlabelled` or `dropped`.
    """

    fraction: float = Field(default=1.0, gt=0, le=1)
    per_class: int | None = Field(default=None, ge=1)
    noise: float = Field(default=0.0, ge=0, lt=1)
    noise_kind: NoiseKind = "symmetric"
    hidden: HiddenImages = "unlabelled"

    @property
    def share(self) -> str:
        """How many labels are shown, for captions: `1`, `0.1`, `5 a class`."""
        return f"{self.fraction:g}" if self.per_class is None else f"{self.per_class} a class"

    @property
    def full(self) -> bool:
        """Whether every training label is shown."""
        return self.fraction == 1 and self.per_class is None

    @property
    def slug(self) -> str:
        """For folder names: `1`, `0p1`, `5lpc`, `1-n0p2`."""
        share = f"{self.fraction:g}" if self.per_class is None else f"{self.per_class}lpc"
        noise = f"-n{self.noise:g}" if self.noise else ""
        return f"{share}{noise}".replace(".", "p")


class FitSpec(Value):
    """Everything that decides what a fit learns, and nothing else.

    Paths, devices, executors, trackers and views are left out on purpose: they must not change the number.

    Attributes
    ----------
    schema_version : int
        Of this layout.
    method, method_version, params : str, int, dict
        The method, its version, and all its parameters.
    dataset, fingerprint : str
        The data set, and a digest of its decoded images and labels.
    protocol, protocol_version : str, int
        Who is a query, who trains, what is searched.
    backbone, weights : str
        The feature network, and `none`, a published name or the digest of a file.
    bits : int
        Bits of a code, 1 to 4096.
    label_fraction, labels_per_class, label_noise, noise_kind, hidden_images
        As in `LabelRule`.
    class_split : int or None
        Numbers the seeded choice of classes that an unseen-classes fit trains on; None trains on all of them.
    seed : int
        Of split and fit, 0 to 2^31 - 1.
    epochs, batch_size : int or None
        None for methods that are not trained by gradient steps.
    selection : str
        Which model is scored: the `last`, the best on held-out training images (`val`), or the best on the
        test queries (`peek`), as some published code does.
    precision : str
        What was asked for; `auto` lets the device decide (the record says what it chose).
    frozen : bool
        Whether the method learns from the backbone's features, computed once and without augmentation.
    preprocessing : Preprocessing
        What overrides the backbone's own.
    head : str
        `linear`, `mlp:N`, or empty for the method's own.
    """

    schema_version: int = SCHEMA
    method: Name
    method_version: int = Field(ge=1)
    params: dict[str, Any]
    dataset: Name
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")
    protocol: Name
    protocol_version: int = Field(ge=1)
    backbone: BackboneName
    weights: str
    bits: int = Field(ge=1, le=4096)
    label_fraction: float = Field(gt=0, le=1)
    labels_per_class: int | None = Field(default=None, ge=1)
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    noise_kind: NoiseKind = "symmetric"
    hidden_images: HiddenImages = "unlabelled"
    class_split: int | None = Field(default=None, ge=0, lt=1000)
    seed: int = Field(ge=0, lt=2**31)
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    selection: Selection = "last"
    precision: Precision = "auto"
    frozen: bool = False
    preprocessing: Preprocessing = PLAIN
    head: Head = ""

    @property
    def fit_id(self) -> str:
        """16 hex digits of the SHA-256 over the canonical JSON of this specification."""
        identity = self.model_dump(mode="json")
        identity["preprocessing"] = self.preprocessing.model_dump(mode="json", exclude_none=True)
        for name, default in _LATER_FIELDS.items():
            if identity[name] == default:
                del identity[name]
        return digest(identity)

    @property
    def label_rule(self) -> LabelRule:
        """Which training labels the fit sees."""
        return LabelRule(
            fraction=self.label_fraction,
            per_class=self.labels_per_class,
            noise=self.label_noise,
            noise_kind=self.noise_kind,
            hidden=self.hidden_images,
        )

    def told(self) -> dict[str, Any]:
        """The fields as JSON values; those of the network are left out at their defaults."""
        silent = {name for name in _NETWORK if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=silent)

    @property
    def network(self) -> str:
        """The backbone and its settings, for captions: `tf_efficientnet_lite0, frozen, size 96`."""
        parts = ["frozen" if self.frozen else "", self.preprocessing.describe()]
        parts += [f"{self.head} head" if self.head else ""]
        return ", ".join([self.backbone, *filter(None, parts)])

    @property
    def label(self) -> str:
        """A short name for messages: `coophash digits 32b 0.1 labels s0`."""
        rule = self.label_rule
        parts = [self.method, self.dataset, f"{self.bits}b"]
        parts += [] if rule.full else [f"{rule.share} labels"]
        parts += [f"{rule.noise:g} noise"] if rule.noise else []
        parts += [] if self.class_split is None else [f"classes {self.class_split}"]
        return " ".join([*parts, f"s{self.seed}"])


#: What may be asked of the network beside its name.
_NETWORK = ("frozen", "preprocessing", "head")

#: Fields that came after schema 1 with the value that means what their absence meant: records made before them
#: keep their identity.
_LATER_FIELDS: dict[str, Any] = {
    "labels_per_class": None,
    "noise_kind": "symmetric",
    "hidden_images": "unlabelled",
    "class_split": None,
    "frozen": False,
    "preprocessing": {},
    "head": "",
}
