"""Scores rows of a Kafka topic with a trained autoencoder and publishes alerts, each exactly once."""
