"""What the models share: prompts, the mixture-of-experts language model, its cache, and generation."""
