"""What the folders in the agent's state folder are called that more than one part knows."""

WORK, ARTIFACTS, ENVIRONMENTS = "work", "artifacts", "environments"
