"""The report: one self-contained page to show around, with the verdict first and every reason after it."""

from edgedyno.controller.lab.report.rendering import Section, judge_and_render, render_report

__all__ = ["Section", "judge_and_render", "render_report"]
