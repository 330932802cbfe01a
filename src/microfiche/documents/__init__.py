"""PDF, scans and pictures in; Markdown and boxes out."""
