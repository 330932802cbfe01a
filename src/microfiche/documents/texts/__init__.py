"""Files that hold their own text: Markdown, HTML, CSV, EPUB and the files of office programs become pages of blocks."""
