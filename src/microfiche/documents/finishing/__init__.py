"""What only all pages of a document show."""
