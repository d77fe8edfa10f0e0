"""What the pages look like: thin, each a function that asks the board and lays out text. The only users of NiceGUI."""
