"""What public repositories compute, as data: each convention states the file that it reproduces."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.errors import unknown

_UNSTABLE = "ties as numpy's unstable argsort leaves them"
_TOPK = "ties averaged (torch.topk leaves them open)"
_PRODUCT = "inner product of the outputs"
_EQUAL = "equal scores averaged"
_SIGNS = {
    "zero": "sign(0) = 0",
    "random": "sign(0) random",
    "up": "sign(0) = +1",
    "none": "real-valued ranking",
    "rule": "Hamming ranking",
    "centred": "sign of the outputs minus the database's mean, sign(0) = 0",
    "asymmetric": "outputs of the queries, codes of the database",
    "euclidean": "real-valued ranking",
    "cosine": "real-valued ranking",
}


@dataclass(frozen=True)
class Convention:
    """One repository's rule. `sign` names what `signed_pair` makes, `sort` how `conventions` ranks it.

    no_hit: queries without a hit count 0 or are skipped; no_label: whether queries without a label are skipped
    beforehand. drop_last: mAP@all leaves the last item out. takes_k: whether there is a cut-off. reported: whether
    the report's table of conventions has it.
    """

    name: str
    source: str
    sign: str  # zero: sign(0) = 0; random: sign(0) drawn; none: real-valued outputs; rule: as Rules say
    sort: str
    no_hit: str
    note: str
    drop_last: bool = False
    takes_k: bool = True
    no_label: str = "count"
    reported: bool = True

    @property
    def open_ties(self) -> bool:
        """Whether an unstable sort decides what stands where inside ties."""
        return self.sign != "none" and self.sort in ("distance", "similarity", "partition")

    @property
    def needs_outputs(self) -> bool:
        """Whether real-valued outputs rank, so that codes alone do not do."""
        by_value = self.sign in ("none", "centred", "asymmetric", "euclidean", "cosine")
        return by_value or self.sort in ("rerank", "rerank-near", "ball")

    def apart(self, cut: bool) -> str:
        """Why its number is not comparable with the others' ("" where it is). cut: whether k cuts the ranking."""
        if self.sort == "ball":
            return "within radius 2"
        if not cut:
            return ""
        return "k counts hits" if self.sort == "first-hits" else "" if self.takes_k else "mAP@all"

    def describe(self) -> str:
        """The rule in a few words, fit for a table."""
        parts = [_SIGNS[self.sign], f"no hit: {self.no_hit}"]
        if self.no_label == "skip":
            parts.append("no label: skip")
        if self.drop_last:
            parts.append("mAP@all drops the last item")
        if not self.takes_k:
            parts.append("no cut-off")
        return "; ".join([*parts, self.note])


def _further(
    name: str, source: str, sign: str, sort: str, no_hit: str, note: str, **more: object
) -> Convention:
    """A convention of `score` alone: in the report's older table it would change committed reports."""
    return Convention(name, source, sign, sort, no_hit, note, reported=False, **more)  # type: ignore[arg-type]


_DHP = "swuxyj/DeepHash-pytorch utils/tools.py CalcTopMap"
_DEEPHASH = "thulab/DeepHash evaluation/__init__.py"
_FIRE = "CISiPLab/cisip-FIRe functions/metrics.py"
_ALL = (
    Convention("deephash-pytorch", _DHP, "zero", "distance", "zero", _UNSTABLE, drop_last=True),
    Convention("deephash-pytorch-intended", _DHP, "zero", "distance", "zero", _UNSTABLE),
    Convention(
        "hashnet-pytorch", "thuml/HashNet pytorch/src/test.py", "zero", "similarity", "skip", _UNSTABLE
    ),
    Convention("hashgan", "thuml/HashGAN lib/metric.py", "none", "similarity", "skip", _PRODUCT),
    Convention(
        "deephash-tf",
        _DEEPHASH + " get_mAPs (i2i_after_sign)",
        "random",
        "partition",
        "skip",
        "ties as argpartition and argsort leave them",
    ),
    Convention(
        "deephash-tf-feature",
        _DEEPHASH + " get_mAPs (i2i_by_feature)",
        "none",
        "partition",
        "skip",
        _PRODUCT,
    ),
    Convention("orthohash", "kamwoh/orthohash functions/hashing.py", "zero", "expected", "zero", _TOPK),
    Convention(
        "single-loss",
        "khoadoan106/single_loss_quantization python/metrics/ranking.py",
        "zero",
        "distance",
        "zero",
        _UNSTABLE,
    ),
    Convention("fire", _FIRE, "zero", "expected", "zero", _TOPK),
    Convention(
        "torchmetrics",
        "Lightning-AI/torchmetrics 1.9 retrieval RetrievalMAP(top_k=k), on inner products of the codes",
        "rule",
        "positive",
        "zero",
        f"relevant items whose product is 0 or less count as not relevant; {_TOPK}",
    ),
    Convention(
        "scikit-learn",
        "scikit-learn sklearn/metrics/_ranking.py average_precision_score, one call a query",
        "rule",
        "grouped",
        "zero",
        "a tie enters as a whole",
        takes_k=False,
    ),
    _further(
        "torchmetrics-library",
        "Lightning-AI/torchmetrics retrieval_average_precision(top_k=k), the installed one, on inner products",
        "up",
        "library",
        "zero",
        "ties as torch.topk leaves them here",
    ),
    _further(
        "csq",
        "yuanli2333/Hadamard-Matrix-for-hashing test.py mean_average_precision",
        "up",
        "similarity",
        "zero",
        _UNSTABLE,
        no_label="skip",
    ),
    _further(
        "cross-modal",
        "WangGodder/deep-cross-modal-hashing torchcmh/evaluate/hashing.py calc_map_k",
        "zero",
        "first-hits",
        "zero",
        "k counts hits; ties averaged (torch.sort leaves them open)",
    ),
    _further(
        "deephash-tf-radius",
        _DEEPHASH + " get_precision_recall_by_Hamming_Radius (the mAP that DCH reports)",
        "random",
        "ball",
        "skip",
        f"the items within radius 2 by {_PRODUCT}, {_EQUAL}; an empty ball counts 0",
        takes_k=False,
    ),
    _further(
        "deephash-tf-rerank",
        _DEEPHASH + " get_mAPs_rerank",
        "random",
        "rerank-near",
        "skip",
        f"inside a distance by {_PRODUCT}, {_EQUAL}; items whose every bit differs are left out",
    ),
    _further(
        "hamming-outputs",
        "after thulab/DeepHash get_mAPs_rerank, over every item",
        "up",
        "rerank",
        "zero",
        f"inside a distance by {_PRODUCT}, {_EQUAL}",
    ),
    _further(
        "asymmetric",
        "after Gordo et al., Asymmetric distances for binary embeddings, CVPR 2011 / TPAMI 2014",
        "asymmetric",
        "values",
        "zero",
        f"inner product, {_EQUAL}",
    ),
    _further(
        "fire-euclidean", _FIRE + " (distance_func euclidean)", "euclidean", "values", "zero",
        f"euclidean distance of the outputs, {_EQUAL}",
    ),
    _further(
        "fire-cosine", _FIRE + " (distance_func cosine)", "cosine", "values", "zero",
        f"cosine of the outputs, {_EQUAL}",
    ),
    _further("fire-zero-mean", _FIRE + " (zero_mean_eval)", "centred", "expected", "zero", _TOPK),
)  # fmt: skip

#: name -> Convention, in the order in which they are shown.
CONVENTIONS: dict[str, Convention] = {convention.name: convention for convention in _ALL}
#: Those of the report's table.
REPORTED: dict[str, Convention] = {name: one for name, one in CONVENTIONS.items() if one.reported}


def choose_conventions(names: str) -> list[Convention]:
    """The conventions named in "all" or "a,b"; InputError, with suggestions, for an unknown one.

    "all" leaves out the one that calls a library, and torch with it: "all,torchmetrics-library" has it.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in CONVENTIONS and name != "all":
            raise unknown("convention", name, [*CONVENTIONS, "all"])
    if not wanted or "all" in wanted:
        return [one for name, one in CONVENTIONS.items() if one.sort != "library" or name in wanted]
    return [CONVENTIONS[name] for name in dict.fromkeys(wanted)]
