"""`note`: words for those who read the document; people walk past."""

from onevoice.journeys.steps.kind import Layout, Step, StepKind


def _lay(step: Step, after: str, layout: Layout) -> str:
    return after


NOTE = StepKind("note", str, lay=_lay)
