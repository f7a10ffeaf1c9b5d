"""From a stored run to numbers: tidy frames, statistics, one summary. Opens no connection."""
