"""History to a topic, at the data's own pace."""
