"""Whether a model sees what is in known images when its profile is followed, and if not, what would help."""

from edgedyno.controller.lab.selftest.running import SelfTest, run_selftest, selftest_lines

__all__ = ["SelfTest", "run_selftest", "selftest_lines"]
