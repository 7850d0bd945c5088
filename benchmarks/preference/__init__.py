"""Does learning from votes work? Measured on simulated raters; one command a table."""
