"""The data sets that can be fetched, as data: where each is, how it is known to be whole, what its columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

TENSORFLOW = "https://storage.googleapis.com/download.tensorflow.org/data"
HANDBOOK = "Fraud-Detection-Handbook"
HANDBOOK_RAW = "6e67dbd0a3bfe0d7ec33abc4bce5f37cd4ff0d6a"
HANDBOOK_TRANSFORMED = "6e3ca5849b4681430388056d3f1dcfb41d4e8269"
HANDBOOK_CITATION = (
    "Le Borgne, Siblini, Lebichot and Bontempi, Reproducible Machine Learning for Credit Card Fraud Detection: "
    "Practical Handbook, Université Libre de Bruxelles 2022"
)
HANDBOOK_LICENCE = "none stated with the data; the book's prose is CC BY-SA 4.0, its code GPL-3.0"
TWITTER_PAGE = "https://www.kaggle.com/datasets/davidmartngutirrez/twitter-bots-accounts"


@dataclass(frozen=True, slots=True)
class Daily:
    """A set that is published as one pickle a day in a git repository, pinned to a commit.

    digests: the JSON file beside this module with git's SHA-1 of each; None asks `tree`, GitHub's listing of the
    commit, for them.
    """

    first: date
    last: date
    commit: str
    tree: str
    digests: str | None = None

    @property
    def days(self) -> tuple[str, ...]:
        """Every day as YYYY-MM-DD."""
        count = (self.last - self.first).days + 1
        return tuple((self.first + timedelta(day)).isoformat() for day in range(count))


@dataclass(frozen=True, slots=True)
class Source:
    """A data set at its publisher's.

    url: of the file, or of a zip that holds it; of the folder for a daily set. file: its name in the cache, a folder
    for a daily set. download: bytes, about, None where nobody says. size, sha256: of the file itself, None where nobody
    published them. rows, anomalous: how many it must have. label, normal, time: what its columns mean. leaks: columns
    that tell the label and are left out when the set is opened by name. login: whether the publisher wants one.
    """

    about: str
    url: str
    file: str
    download: int | None
    licence: str
    citation: str
    rows: int
    anomalous: int
    label: str
    normal: str
    time: str | None = None
    size: int | None = None
    sha256: str | None = None
    leaks: tuple[str, ...] = ()
    login: bool = False
    daily: Daily | None = None


def _handbook(variant: str, commit: str, about: str, download: int, digests: str | None) -> Source:
    repository = f"{HANDBOOK}/simulated-data-{variant}"
    return Source(
        about=about,
        url=f"https://raw.githubusercontent.com/{repository}/{commit}/data",
        file="days",
        download=download,
        licence=HANDBOOK_LICENCE,
        citation=HANDBOOK_CITATION,
        rows=1_754_155,
        anomalous=14_681,
        label="TX_FRAUD",
        normal="0",
        time="TX_DATETIME",
        leaks=("TX_FRAUD_SCENARIO",),
        daily=Daily(
            first=date(2018, 4, 1),
            last=date(2018, 9, 30),
            commit=commit,
            tree=f"https://api.github.com/repos/{repository}/git/trees/{commit}?recursive=1",
            digests=digests,
        ),
    )


SOURCES: dict[str, Source] = {
    "creditcard": Source(
        about="card transactions of two days in September 2013: Time, V1..V28 (PCA), Amount, Class",
        url=f"{TENSORFLOW}/creditcard.csv",
        file="creditcard.csv",
        download=150_828_752,
        licence="ODbL 1.0 for the database, DbCL 1.0 for its contents, as the owners state on Kaggle",
        citation="Dal Pozzolo, Caelen, Johnson and Bontempi, Calibrating Probability with Undersampling for Unbalanced "
        "Classification, IEEE CIDM 2015 (Worldline and the Machine Learning Group of ULB)",
        rows=284_807,
        anomalous=492,
        label="Class",
        normal="0",
        time="Time",
        size=150_828_752,
        # The same digest is on record for Kaggle's and for Zenodo's copy (record 7395559).
        sha256="76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89",
    ),
    "ecg": Source(
        about="heartbeats of 140 samples (ECG5000), no header: c0..c139, c140 (1 = normal); sorted by class in runs",
        url=f"{TENSORFLOW}/ecg.csv",
        file="ecg.csv",
        download=7_877_383,
        licence="open with attribution (PhysioNet, BIDMC Congestive Heart Failure Database)",
        citation="Chen et al., A General Framework for Never-Ending Learning from Time Series Streams, Data Mining and "
        "Knowledge Discovery 2015; Baim et al., JACC 1986; Goldberger et al., PhysioBank, Circulation 2000",
        rows=4_998,
        anomalous=2_079,
        label="c140",
        normal="1",
        size=7_877_383,
        sha256="72ce7b040ca0c6ed36c3368e570c6ac4ddf20100476e47373c63b2395e012df1",
    ),
    "handbook": _handbook(
        "raw",
        HANDBOOK_RAW,
        "SIMULATED card transactions of half a year in 2018 by the Fraud Detection Handbook, as they happen",
        107_121_710,
        "handbook_raw.json",
    ),
    "handbook-transformed": _handbook(
        "transformed",
        HANDBOOK_TRANSFORMED,
        "the same transactions with the Handbook's 15 input features",
        337_000_000,
        None,
    ),
    "twitter": Source(
        about="Twitter accounts of people and bots: counts, flags, bio, account_type",
        url="https://www.kaggle.com/api/v1/datasets/download/davidmartngutirrez/twitter-bots-accounts",
        file="twitter_human_bots_dataset.csv",
        download=None,
        licence="not stated: never redistribute it",
        citation=f"Martín-Gutiérrez et al., A Deep Learning Approach for Robust Detection of Bots in Twitter Using "
        f"Transformers, IEEE Access 2021; {TWITTER_PAGE}",
        rows=37_438,
        anomalous=12_425,
        label="account_type",
        normal="human",
        time="created_at",
        login=True,
    ),
}
