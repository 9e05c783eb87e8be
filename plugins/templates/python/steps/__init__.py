"""The steps of this plugin."""
