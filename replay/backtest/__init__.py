"""The backtest: history flat out through the real detector, and what it would have done as one page."""
