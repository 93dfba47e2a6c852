"""Writes metrics of the last runs to a file for node-exporter's textfile collector; several stacks share one file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from alb_reconcile.journal.files import RecordError, only_writer, replace_file, unwritable
from alb_reconcile.journal.record import RESULTS, RunRecord, renamed
from alb_reconcile.model.files import read_file

_PREFIX: Final = "alb_reconcile_"
_LARGEST: Final = 64 * 1024 * 1024
_OWNER: Final = ("stack", "region", "account")

GAUGES: Final[Mapping[str, str]] = {
    "last_run_timestamp_seconds": "When the last run ended, whatever came of it.",
    "last_success_timestamp_seconds": "When a run last left the stack in its desired state.",
    "last_run_duration_seconds": "How long the last run took.",
    "last_run_result": "1 for the result of the last run, 0 for the others.",
    "drift_found": "Steps of the last plan that correct drift.",
    "drift_left": "Steps of the last plan that correct drift and weren't done.",
    "spec_left": "Steps of the last plan that apply a changed spec and weren't done.",
    "certificate_end_timestamp_seconds": "When a certificate of the stack ends, as the last run found it.",
    "last_throttled_timestamp_seconds": "When AWS last throttled a call, by operation.",
}
COUNTERS: Final[Mapping[str, str]] = {
    "runs": "Runs by command and result.",
    "steps": "Steps by action and outcome.",
    "drift_corrected": "Steps done that correct drift.",
    "api_calls": "Calls of AWS's API by operation.",
    "throttled_calls": "Attempts of calls that AWS throttled by operation.",
}
"""Counters' samples end with _total."""

Labels = tuple[tuple[str, str], ...]
Series = dict[str, dict[Labels, float]]
"""Values by family (without prefix and _total) and labels, which are sorted."""


def write_metrics(record: RunRecord, file: Path, last_success: float | None = None) -> None:
    """Put a run's metrics into the file; the series of other stacks stay, those of a stack that was destroyed go.

    Counters continue from the file's values. `last_success` (seconds since the epoch) is for a file that has lost it. Raises
    RecordError if the file can't be written, or has other content.
    """
    with only_writer(file, make_folder=False):  # no collector would read a folder that is made here
        series, others = _read(file)
        account = record.account or _account_of(series, record)
        owner = {"stack": record.stack, "region": record.region, "account": account}
        if record.account:  # runs that didn't reach AWS have left some series without an account
            _drop(series, {**owner, "account": ""})
        if record.is_gone:
            _drop(series, owner)
        else:
            _put(series, record, owner, last_success)
        replace_file(file, _render(series, others), mode=0o644)  # node-exporter runs as another user


def _put(series: Series, record: RunRecord, owner: Mapping[str, str], last_success: float | None) -> None:
    def gauge(name: str, value: float, **labels: str) -> None:
        series.setdefault(name, {})[_labels(owner, labels)] = value

    def count(name: str, more: float, **labels: str) -> None:
        values, key = series.setdefault(name, {}), _labels(owner, labels)
        values[key] = values.get(key, 0.0) + more

    ended = datetime.fromisoformat(record.ended).timestamp()
    gauge("last_run_timestamp_seconds", ended)
    gauge("last_run_duration_seconds", record.seconds)
    for result in RESULTS:
        gauge("last_run_result", float(result == record.result), result=result)
    if record.is_success:
        gauge("last_success_timestamp_seconds", ended)
    elif last_success is not None:
        series.setdefault("last_success_timestamp_seconds", {}).setdefault(_labels(owner, {}), last_success)
    if record.counts:  # a certificate that the plan doesn't show is gone
        ends = series.get("certificate_end_timestamp_seconds", {})
        series["certificate_end_timestamp_seconds"] = {
            key: item for key, item in ends.items() if not _owned(key, owner)
        }
    for address, end in record.certificates.items():
        gauge("certificate_end_timestamp_seconds", datetime.fromisoformat(end).timestamp(), certificate=address)
    corrected = len(record.having(how="done", cause="drift"))
    if record.counts:  # a run that was held, or failed early, knows nothing of drift
        drift = len(record.having(cause="drift"))
        gauge("drift_found", drift)
        gauge("drift_left", drift - corrected)
        gauge("spec_left", len(record.having(cause="spec")) - len(record.having(how="done", cause="spec")))
    count("drift_corrected", corrected)
    count("runs", 1, command=record.command, result=record.result)
    for step in record.steps:
        count("steps", 1, action=step.action, outcome=step.how)
    for operation, calls in record.calls.items():
        count("api_calls", calls, operation=operation)
    for operation, item in record.throttled.items():
        count("throttled_calls", item.count, operation=operation)
        gauge("last_throttled_timestamp_seconds", datetime.fromisoformat(item.last).timestamp(), operation=operation)


def _labels(owner: Mapping[str, str], more: Mapping[str, str]) -> Labels:
    return tuple(sorted({**owner, **more}.items()))


def _owned(labels: Labels, owner: Mapping[str, str]) -> bool:
    found = dict(labels)
    return all(found.get(name) == value for name, value in owner.items())


def _drop(series: Series, owner: Mapping[str, str]) -> None:
    for name, values in series.items():
        series[name] = {labels: value for labels, value in values.items() if not _owned(labels, owner)}


def _account_of(series: Series, record: RunRecord) -> str:
    """The account in which the stack ran before, for a run that doesn't know its account."""
    owner = {"stack": record.stack, "region": record.region}
    runs = series.get("last_run_timestamp_seconds", {})
    accounts = {dict(labels)["account"] for labels in runs if _owned(labels, owner)}
    return accounts.pop() if len(accounts) == 1 else ""


def _read(file: Path) -> tuple[Series, list[Metric]]:
    try:
        return _parse(read_file(file, _LARGEST).decode("utf-8"))
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise unwritable(file, error) from None
    except (ValueError, KeyError, IndexError):  # the last two are raised by the library for text that it can't parse
        raise RecordError(
            f"{file} has other content than alb-reconcile's metrics, and was left unchanged; remove it, or name another --metrics-file"
        ) from None


def _parse(text: str) -> tuple[Series, list[Metric]]:
    """Our series, and families that a later version of this program has written. Raises ValueError for other metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    series: Series = {}
    others: list[Metric] = []
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix(_PREFIX)
        if name == family.name or (name not in COUNTERS and name.removesuffix("_total") in COUNTERS):
            raise ValueError(family.name)
        if name not in GAUGES and name not in COUNTERS:
            others.append(family)
            continue
        for sample in family.samples:
            labels = dict(sample.labels)
            if not set(_OWNER) <= labels.keys():
                raise ValueError(sample.name)
            if "result" in labels:
                labels["result"] = renamed(labels["result"])
            values, key = series.setdefault(name, {}), _labels(labels, {})
            values[key] = sample.value + (values.get(key, 0.0) if name in COUNTERS else 0.0)
    return series, others


def _render(series: Series, others: Iterable[Metric]) -> bytes:
    made: list[Any] = []
    for families, family_type in ((GAUGES, GaugeMetricFamily), (COUNTERS, CounterMetricFamily)):
        for name, text in families.items():
            family = family_type(_PREFIX + name, text)
            for labels, value in sorted(series.get(name, {}).items()):
                family.add_sample(_PREFIX + name + ("_total" if families is COUNTERS else ""), dict(labels), value)
            if family.samples:
                made.append(family)

    class Known:
        def collect(self) -> Iterable[Metric]:
            return [*made, *others]

    return generate_latest(Known())
