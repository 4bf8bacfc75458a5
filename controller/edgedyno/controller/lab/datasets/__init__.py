"""Data sets: readers of COCO, YOLO, VOC, ImageNet folders and CSV, one set of checks, two forms for scoring."""

from edgedyno.controller.lab.datasets.findings import Finding, finding_line
from edgedyno.controller.lab.datasets.importing import ResolvedDataset, find_dataset, resolve_dataset
from edgedyno.controller.lab.datasets.normal import read_labels
from edgedyno.controller.lab.datasets.survey import Survey, examine_dataset, summarise

__all__ = [
    "Finding",
    "ResolvedDataset",
    "Survey",
    "examine_dataset",
    "find_dataset",
    "finding_line",
    "read_labels",
    "resolve_dataset",
    "summarise",
]
