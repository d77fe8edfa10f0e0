"""Arrays in few words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def f32(values: ArrayLike) -> NDArray[np.float32]:
    """A float32 array."""
    return np.asarray(values, np.float32)
