"""PDF files: their pages as pictures, and what is drawn and written on them."""
