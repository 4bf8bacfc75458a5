"""The board's side: the fleet half at this level, measuring below it."""
