HELD_OUT = "held-out-"
