"""Power cuts: what the disk would hold at any moment, worked out from what the agent's file calls really were."""
