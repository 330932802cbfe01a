"""PIXEL: language modelling on pictures of text (Rust et al. 2023, arXiv 2207.06991)."""
