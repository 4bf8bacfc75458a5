"""What is known of a variant's rightness beside a score: its check on known images, and how far it follows FP32.

Fidelity is never accuracy: a variant that sees all that FP32 sees is as right as FP32, which nothing here judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.model import Judgement
from edgedyno.controller.lab.verdict.phrases import in_brackets, listed, sentences, threads_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.controller.lab.verdict.model import Choice, Proof
    from edgedyno.core.job import Require
    from edgedyno.core.result import Fidelity, Result, SelfTest

# As with accuracy: what does not see half of what FP32 sees is no trade any more.
COLLAPSE_SHARE = 0.5
# A variant that finds this share of what FP32 finds, or keeps this share of its score, is not broken.
CONFIRMED_SHARE = 0.8

# What a failed check looks like, by its code.
CAUSES = {
    "input.colour-order": phrase("it looks like the wrong colour order"),
    "input.scale": phrase("it looks like input of the wrong scale"),
    "input.resize": phrase("it looks like images resized in another way than the model expects"),
    "input.layout": phrase("it looks like the wrong layout of the input"),
    "input.dtype": phrase("it looks like float numbers fed to an integer input"),
    "input.ambiguous": phrase("it looks like a wrong description of the input"),
    "output.boxes": phrase("it looks like boxes read in the wrong form"),
    "output.activation": phrase("it looks like a missing or doubled last activation"),
    "output.decoder": phrase("it looks like the decoder of another model family"),
    "output.background": phrase("it looks like classes counted without the background, or with it"),
    "output.ambiguous": phrase("it looks like a wrong description of the output"),
    "output.constant": phrase("it looks like a dead output, the same for every image"),
    "output.not-a-number": phrase("its output is not a number (NaN)"),
    "calibration.clipped": phrase("it looks like a clipped calibration"),
    "quantization.shared-scale": phrase("it looks like scores and boxes that share one INT8 scale"),
}


def looks_like_in_words(selftest: SelfTest) -> str:
    """Say what a failed check looks like; empty where nothing explains it."""
    code = selftest.looks_like
    if code is None:
        return ""
    return say(CAUSES[code]) if code in CAUSES else say("it looks like {code}", code=code)


def judge_selftest(result: Result) -> list[Judgement]:
    """Reject a trial whose check on known images failed and looks like something that can be named."""
    selftest = result.selftest
    if selftest is None or selftest.passed or selftest.looks_like is None:
        return []
    # What mends it is the same for all variants that fail by it; without that the whole story has to do.
    short = looks_like_in_words(selftest)
    text, brief = (
        say("fails the check on known images: {cause}", cause=cause)
        for cause in (in_brackets(short, listed(selftest.changes) or selftest.text), short)
    )
    return [Judgement("selftest", None, "violated", None, text, short=brief)]


def judge_agreement(result: Result, require: Require) -> list[Judgement]:
    """Reject a trial without labels that is shown not to see half of what FP32 sees, where the job sets no limit."""
    agreement = result.fidelity.agreement if result.fidelity else None
    limited = (require.agreement, require.accuracy, require.accuracy_drop) != (None, None, None)
    if agreement is None or limited or result.accuracy is not None:
        return []
    matched = agreement.matched
    if matched.high is None or matched.high >= COLLAPSE_SHARE:
        return []
    text = say(
        "fidelity collapsed: it finds {share} of what FP32 finds; the job sets no limit, but more than half is lost",
        share=_matched(result.fidelity),
    )
    excess = (COLLAPSE_SHARE - matched.value) / COLLAPSE_SHARE
    return [
        Judgement("agreement_collapse", COLLAPSE_SHARE, "violated", matched.value, text, excess_ratio=excess)
    ]


def proof_of(results: Iterable[Result], recommended: Result | None) -> Proof:
    """Return what the answer knows of being right."""
    judged = [recommended] if recommended else list(results)
    if any(result.accuracy for result in judged):
        return "accuracy"
    return "fidelity" if any(result.fidelity and result.fidelity.agreement for result in judged) else "none"


def proof_sentence(choice: Choice) -> str:
    """Say of a recommended trial that is not FP32 what is not known of it; empty where it has a score."""
    if choice.accuracy is not None or choice.precision == "fp32":
        return ""
    if choice.fidelity is None or choice.fidelity.agreement is None:
        return say("Nothing here shows how accurate it is.")
    return say(
        "This is fidelity, not accuracy: it finds {share} of what {reference} finds; without labels nothing here "
        "shows how accurate either is.",
        share=_matched(choice.fidelity),
        reference=choice.fidelity.reference,
    )


def fidelity_notes(choices: list[Choice]) -> list[str]:
    """Say in numbers how far each variant follows FP32, where there is no score to say it better."""
    told: dict[str, None] = {}
    for choice in choices:
        fidelity = choice.fidelity
        if choice.accuracy is None and fidelity is not None and choice.precision != "fp32":
            found = _numbers(fidelity)
            if found:
                told[
                    say(
                        "{variant} on {runtime}: {numbers}",
                        variant=_name(choice),
                        runtime=choice.runtime,
                        numbers=found,
                    )
                ] = None
    if not told:
        return []
    return [say("Fidelity to FP32, which is not accuracy: {variants}.", variants=say("; ").join(told))]


def selftest_notes(results: Iterable[Result], labels: dict[str, str]) -> list[str]:
    """Warn of checks on known images that failed for no reason that can be named, unless scores say otherwise."""
    found: dict[str, list[str]] = {}
    for result in results:
        selftest = result.selftest
        if selftest and not selftest.passed and selftest.looks_like is None and not _confirmed(result):
            found.setdefault(selftest.text, []).append(labels[result.trial])
    return [
        sentences(
            say(
                "The check on known images failed, and nothing explains why: {trials}.",
                trials=in_brackets(listed(trials), text),
            ),
            say("Look at its predictions before it is deployed."),
        )
        for text, trials in found.items()
    ]


def threads_notes(results: Iterable[Result], labels: dict[str, str]) -> list[str]:
    """Name variants whose predictions change with the number of threads: their scores hold for one number only."""
    found: dict[tuple[object, ...], Result] = {}
    for result in results:
        check = result.threads_check
        if check is not None and not check.identical and not check.rounding_only:
            engine = (result.variant_sha256, result.runtime, result.runtime_version)
            found.setdefault(engine, result)
    return [
        say(
            "Predictions of {trial} change with the number of threads ({found}): its accuracy holds for "
            "{threads} only.",
            trial=labels[result.trial],
            found=check.text,
            threads=threads_in_words(check.threads),
        )
        for result in found.values()
        if (check := result.threads_check)
    ]


def _confirmed(result: Result) -> bool:
    """Tell whether a score or FP32's own detections show that a variant is not broken."""
    accuracy, drop = result.accuracy, result.accuracy_drop
    if accuracy is not None:
        lost = drop.value if drop else 0.0
        return accuracy.value > 0 and accuracy.value >= CONFIRMED_SHARE * (accuracy.value + lost)
    agreement = result.fidelity.agreement if result.fidelity else None
    return agreement is not None and agreement.matched.value >= CONFIRMED_SHARE


def _matched(fidelity: Fidelity | None) -> str:
    if fidelity is None or fidelity.agreement is None:
        return say("an unknown share")
    matched, images = fidelity.agreement.matched, fidelity.agreement.images
    share = quantities.format_percent(matched.value)
    if matched.low is None or matched.high is None:
        return say("{share} on {images} images", share=share, images=images)
    interval = quantities.format_interval(matched.low, matched.high, quantities.format_percent)
    return say("{share} ({interval}, {images} images)", share=share, interval=interval, images=images)


def _numbers(fidelity: Fidelity) -> str:
    parts = []
    if fidelity.agreement is not None:
        parts.append(say("finds {share} of its detections", share=_matched(fidelity)))
    noise = [output.sqnr_db for output in fidelity.outputs if output.sqnr_db is not None]
    if noise:
        parts.append(say("SQNR of the worst output {decibels:.1f} dB", decibels=min(noise)))
    return listed(parts)


def _name(choice: Choice) -> str:
    return f"{choice.precision.upper()} {choice.variant}".rstrip()
