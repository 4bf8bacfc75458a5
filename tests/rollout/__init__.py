"""Rollouts over real processes: controller, broker, several agents; only runners and the clock are scripted."""
