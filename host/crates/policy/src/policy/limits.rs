//! Reads tables of limits.

use crate::{
    Rate,
    limits::{LimitInfo, LimitUnit, LimitValue, WrittenLimit, WrittenLimits},
    reader::{Entry, Reader, shown},
    units::{parse_duration, parse_size},
};

/// Reads a table whose keys are those of a catalogue.
pub(super) fn written(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    catalogue: &'static [LimitInfo],
) -> WrittenLimits {
    written_beside(reader, entry, catalogue, &[])
}

/// As [`written`], of a table that has other keys too.
pub(super) fn written_beside(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    catalogue: &'static [LimitInfo],
    others: &[&'static str],
) -> WrittenLimits {
    let keys = catalogue.iter().map(|info| info.key);
    let keys: Vec<&str> = keys.chain(others.iter().copied()).collect();
    let Some(section) = reader.section(entry.node, &entry.path, &keys) else {
        return WrittenLimits::default();
    };
    let mut limits = WrittenLimits::default();
    for entry in section.entries() {
        let Some(info) = catalogue.iter().find(|info| info.key == entry.key) else {
            continue;
        };
        if let Some(value) = value(reader, &entry, info) {
            let rule = reader.rule(&entry.key_span, &entry.path);
            limits.0.push(WrittenLimit {
                key: info.key,
                value,
                rule,
            });
        }
    }
    limits
}

fn value(reader: &mut Reader<'_>, entry: &Entry<'_>, info: &LimitInfo) -> Option<LimitValue> {
    // A bare number lacks its unit; the text of it makes the message say what is wrong, and the hint how to write it.
    let written = reader
        .source
        .text
        .get(entry.node.span())
        .unwrap_or_default()
        .to_owned();
    let (number, value) = match info.unit {
        LimitUnit::Count => {
            let number = reader.number(entry)?;
            (number, LimitValue::Number(number))
        }
        LimitUnit::Bytes => {
            let bytes = size(reader, entry)?;
            (bytes, LimitValue::Number(bytes))
        }
        LimitUnit::Duration => {
            let text = entry.node.value.as_str().unwrap_or(&written);
            let parsed = parse_duration(text).and_then(|it| u64::try_from(it.as_millis()).ok());
            let millis = or_unreadable(
                reader,
                entry,
                text,
                parsed,
                "a duration",
                "write it like \"30s\", \"500ms\", \"2m\" or \"1h\"",
            )?;
            (millis, LimitValue::Number(millis))
        }
        LimitUnit::Rate => {
            let text = entry.node.value.as_str().unwrap_or(&written);
            let rate = or_unreadable(
                reader,
                entry,
                text,
                Rate::parse(text),
                "a rate",
                "write it like \"60/min\", \"5/s\" or \"1000/h\"",
            )?;
            (rate.count.into(), LimitValue::Rate(rate))
        }
    };
    in_range(reader, entry, info, number).then_some(value)
}

fn size(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u64> {
    let Some(text) = entry.node.value.as_str() else {
        return reader.number(entry);
    };
    let help = "write it like \"256KiB\", \"8MiB\", \"1GiB\" or \"64B\"";
    or_unreadable(reader, entry, text, parse_size(text), "a size", help)
}

fn or_unreadable<T>(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    text: &str,
    parsed: Option<T>,
    what: &str,
    help: &str,
) -> Option<T> {
    if parsed.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not {what}", shown(text)),
            help,
        );
    }
    parsed
}

fn in_range(reader: &mut Reader<'_>, entry: &Entry<'_>, info: &LimitInfo, number: u64) -> bool {
    if number == 0 {
        reader.report(
            entry.node.span(),
            format!("`{}` cannot be zero", entry.path),
            "to forbid something, leave its grant out",
        );
    } else if number > info.max {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` is above the ceiling of {}",
                entry.path,
                info.show(info.max)
            ),
            "everything is finite here; write a smaller limit",
        );
    } else {
        return true;
    }
    false
}
