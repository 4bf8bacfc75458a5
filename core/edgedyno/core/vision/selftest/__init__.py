"""Whether a variant sees what is in known images when its profile is followed, and if not, what it looks like.

Board and controller share this. It knows no runtime and no file: whoever calls it hands over how to infer.
"""

from edgedyno.core.vision.selftest.alternatives import Reading
from edgedyno.core.vision.selftest.examination import Examined, examine
from edgedyno.core.vision.selftest.reference import Reference
from edgedyno.core.vision.selftest.symptoms import InputTensor
from edgedyno.core.vision.selftest.trying import Shown
from edgedyno.core.vision.selftest.unlabelled import survey

__all__ = ["Examined", "InputTensor", "Reading", "Reference", "Shown", "examine", "survey"]
