"""The edgedyno command: lazy dispatch to agent and controller, and the all-in-one run and up."""
