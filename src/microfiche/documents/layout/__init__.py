"""From the lines on a page to its blocks, in reading order."""
