"""Our own small models: an encoder, readouts for cells and for print, a line decoder, a prompted reader, an indexer."""
