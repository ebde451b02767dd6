"""Signs and colours of results, the same in every view."""

from labctl.model.report import Result

MARKS = {Result.PASSED: "✔", Result.FAILED: "✘", Result.ERROR: "!", Result.SKIPPED: "-"}
STYLES = {Result.PASSED: "green", Result.FAILED: "red", Result.ERROR: "yellow", Result.SKIPPED: "dim"}
