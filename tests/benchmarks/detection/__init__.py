"""How well every recipe tells anomalies, beside its peers, on protocols that are fixed once and for all."""
