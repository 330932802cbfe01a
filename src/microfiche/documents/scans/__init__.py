"""Reading pictures of text: where it stands, what it says, and what was not read."""
