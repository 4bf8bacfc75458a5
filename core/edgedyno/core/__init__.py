"""Words shared by agent and controller: value types, units, errors, topics. No I/O."""
