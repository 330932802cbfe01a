"""Tables: where they are on a page, and their cells."""
