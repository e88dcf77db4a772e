"""The metrics of each script of a folder, told apart by the label `script`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from shim.file_names import visible
from shim.folder.launch import ResultsFile
from shim.folder.results import End, Results
from shim.observe.metrics import HELP, BadLine, families

LABEL = "script"


class FolderMetrics:
    """What is known so far: of each script how it ended, and the metrics that it wrote."""

    def __init__(self, file: ResultsFile) -> None:
        self._file = file

    def __call__(self, replaced: Collection[str]) -> tuple[list[Metric], list[BadLine]]:
        """Return the metrics, and the bad lines of scripts' own; `replaced` as for `families`."""
        scripts = Results(self._file.read()).scripts or []
        ends = [(visible(script.name), script.ends[-1]) for script in scripts if script.ends]
        own, bad = _own([(name, end.metrics) for name, end in ends], {*replaced, LABEL})
        return [*_figures(ends), *own], bad


def _figures(ends: Sequence[tuple[str, End]]) -> Iterator[Metric]:
    figures = {
        "folder_script_ok": [(name, float(end.report.ok)) for name, end in ends],
        "folder_script_duration_seconds": [(name, end.duration_s) for name, end in ends],
        "folder_script_exit_code": [
            (name, float(end.exit_code)) for name, end in ends if end.exit_code is not None
        ],
    }
    for figure, values in figures.items():
        family = GaugeMetricFamily(f"khshim_{figure}", HELP[figure], labels=[LABEL])
        for name, value in values:
            family.add_metric([name], value)
        yield family
    family = GaugeMetricFamily("khshim_perfdata", HELP["perfdata"], labels=[LABEL, "label", "unit"])
    for name, end in ends:
        for item in {(item.label, item.unit): item for item in end.perfdata}.values():
            family.add_metric([name, item.label, item.unit], item.value)
    if family.samples:
        yield family


def _own(
    texts: Sequence[tuple[str, str]], replaced: Collection[str]
) -> tuple[list[Metric], list[BadLine]]:
    """Return what the scripts wrote, with what has one name in one family, as it must be."""
    merged: dict[str, Metric] = {}
    bad: list[BadLine] = []
    for name, text in texts:
        found, wrong = families(text, replaced)
        bad += [line._replace(script=name) for line in wrong]
        for metric in found:
            metric.samples = [
                sample._replace(labels={**sample.labels, LABEL: name}) for sample in metric.samples
            ]
            first = merged.setdefault(metric.name, metric)
            if first.type != metric.type:
                reason = f"another script's {metric.name} is a {first.type}, not a {metric.type}"
                bad.append(BadLine(1, reason, name))
            elif first is not metric:
                first.samples += metric.samples
    return list(merged.values()), bad
