"""AUROC and average precision are scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from detector.areas import areas
from tests.arrays import f32

scored = st.lists(
    st.tuples(st.floats(0, 9, width=32) | st.sampled_from([1.0, 2.0, 3.0]), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({bad for _, bad in rows}) == 2)


@given(scored)
def test_areas_are_scikit_learn_s(rows: list[tuple[float, bool]]) -> None:
    """Both areas are scikit-learn's, ties and all."""
    scores, truth = f32([score for score, _ in rows]), np.array([bad for _, bad in rows])
    auroc, average_precision = areas(scores, truth)
    assert auroc == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert average_precision == pytest.approx(metrics.average_precision_score(truth, scores))


@pytest.mark.parametrize("truth", [[], [True], [False, False]])
def test_one_kind_of_rows(truth: list[bool]) -> None:
    """Where rows of one kind are missing neither area is defined."""
    found = areas(f32([1.0] * len(truth)), np.array(truth, np.bool_))
    assert all(map(math.isnan, found))
