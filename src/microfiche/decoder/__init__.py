"""What models share: prompts, the mixture of experts, its cache, generation."""
