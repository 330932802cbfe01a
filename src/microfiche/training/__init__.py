"""Training: one loop, a stage for each model, and the data that stages draw from."""
