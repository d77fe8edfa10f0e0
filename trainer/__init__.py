"""Turns history into an artifact: an autoencoder trained on normal rows, calibrated, exported, verified."""

import os

# Read when TensorFlow is imported, which the modules below do and the lighter commands do not.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its sums come in another order on another run
