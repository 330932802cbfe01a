"""Documents read or packed by a cluster of machines, on Ray Data, so that a run that was killed can go on."""
