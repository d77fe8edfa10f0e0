"""What a model does, for a person who has to trust it: one HTML file, and its pictures."""
