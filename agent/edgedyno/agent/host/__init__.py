"""The only readers of /proc and /sys; every path goes through a root directory."""
