"""Which boards get a job, when, and in which order: decisions over what the store says, and those who act on them."""
