"""Our own small models: one encoder, readouts of cells and of print, a line decoder, a prompted reader, an indexer."""
