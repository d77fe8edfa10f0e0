"""From breaks to the stages that make them, and what does not go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from detector.errors import UsageError
from detector.rows import FORMAT_HEADER
from detector.rows.messages import last
from replay.batch import Batch, Stage, objects
from replay.columns import Columns
from replay.history import History
from replay.inject import copies, survey, values, wire
from replay.inject.faults import fault_of, possible
from replay.inject.spec import ALL, KINDS, Kind, Spec
from replay.inject.where import Origin, Where, marked
from replay.settings import Settings
from replay.stdin import Piped


def stages(history: History, chosen: Settings) -> list[Stage]:
    """The stages that break a history as it was asked for. Failure says what does not go with it.

    Whatever the order in which breaks are named: first what happens in the world, then what the sender does to rows,
    then the wire, as KINDS stand.
    """
    specs = sorted(chosen.injections, key=lambda spec: list(KINDS).index(spec.kind))
    if not specs:
        return []
    refuse(history, chosen)
    shares = any(point.share is not None for spec in specs for point in spec.stretch.points)
    origin = Origin(survey.last_moment(history, chosen) if shares else None)
    deviations = survey.deviations(history, chosen, specs)
    found = [_stage(Where.of(spec, origin, chosen.seed), history.columns, chosen, deviations) for spec in specs]
    return [origin.stage(), *found]


def _stage(where: Where, columns: Columns | None, chosen: Settings, deviations: dict[str, float]) -> Stage:
    match where.spec.kind:
        case "duplicate":
            return copies.doubled(where)
        case "corrupt":
            return corrupted(where, chosen.format, columns)
        case "delay":
            return wire.delayed(where)
        case "reorder":
            return wire.reordered(where)
        case "silence":
            return wire.silent(where)
        case "burst":
            return wire.faster(where)
    assert columns is not None
    match where.spec.kind:
        case "drift":
            return values.drifting(where, columns, deviations)
        case "scale":
            return values.scaled(where, columns)
        case "missing":
            return values.left_out(where, columns)
    return copies.more_frauds(where, columns.time)


def corrupted(where: Where, format_: str, columns: Columns | None) -> Stage:
    """Rows are marked with what `faults.spoiled` is to make of them; none has two faults. format_: of rows without
    headers."""
    spec = where.spec

    def reason(row_id: bytes, kinds: Sequence[str]) -> str:
        if spec.fault:
            return spec.fault if spec.fault in kinds else ""
        return kinds[int(where.chance(row_id, "fault") * len(kinds))]

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        kinds: dict[str, list[str]] = {}
        for batch in batches:
            drawn = where.drawn(batch, spec.amount)
            faults = objects([""] * len(batch))
            for place in drawn.nonzero()[0].tolist():
                one = format_ if batch.headers is None else last(batch.headers[place], FORMAT_HEADER) or format_
                of_format = kinds.setdefault(one, possible(one, columns))
                whole = batch.injected is None or not fault_of(batch.injected[place])
                faults[place] = reason(batch.row_ids[place], of_format) if whole else ""
            yield marked(batch, faults != "", spec.text, faults)

    return stage


def refuse(history: History, chosen: Settings) -> None:
    """UsageError where a break does not go with the data or the settings."""
    for spec in chosen.injections:
        kind = KINDS[spec.kind]
        why = _of_data(spec, kind, history) or _of_settings(spec, kind, history, chosen)
        if why:
            raise UsageError(f"setting inject has value {spec.text!r}: {why}")


def _of_data(spec: Spec, kind: Kind, history: History) -> str:
    """Why the data has not what a break needs, empty where it has."""
    columns, told = history.columns, [point for point in spec.stretch.points if point.share is None]
    if columns is None:
        free = ", ".join(name for name, one in KINDS.items() if not one.columns)
        return f"messages of a topic have no columns to change, one of {free} wanted" if kind.columns else ""
    if columns.time is None and (kind.timed or told):
        what = spec.kind if kind.timed else "a duration or a time"
        return f"{what} needs event times, and the data has no time column: name it by --time"
    if kind.label and columns.label is None:
        return f"{spec.kind} needs labels, and the data has no label column: name it by --label"
    odd = [name for name in spec.features if name != ALL and name not in columns.features]
    return f"{odd[0]!r} is no feature, one of {', '.join(columns.features)} wanted" if odd else ""


def _of_settings(spec: Spec, kind: Kind, history: History, chosen: Settings) -> str:
    """Why the settings do not let a break be made, empty where they do."""
    if kind.paced and not chosen.pace.by_event:
        return f"{spec.kind} shows at a pace of event time alone, --speed real or 60x wanted"
    shares = any(point.share is not None for point in spec.stretch.points)
    if shares and chosen.loop == 0 and not chosen.limit:
        return "a share of what has no end, durations or times wanted"
    if (shares or spec.deviations) and isinstance(history, Piped):
        what = "standard deviations are" if spec.deviations else "a share of the history is"
        return f"{what} known of what can be read twice, amounts, durations or times wanted for standard input"
    kinds = possible(chosen.format, history.columns)
    if spec.fault and history.columns is not None and spec.fault not in kinds:
        return f"{spec.fault} is no fault of {chosen.format} rows of these columns, one of {', '.join(kinds)} wanted"
    return ""
