//! Colours and marks. Meaning is never in the colour alone: everything reads the same without it.

use anstyle::{AnsiColor, Color, Style};

/// What went well.
pub(crate) const GOOD: Style = color(AnsiColor::Green);
/// What went wrong.
pub(crate) const BAD: Style = color(AnsiColor::Red).bold();
/// What deserves a look.
pub(crate) const NOTE: Style = color(AnsiColor::Yellow);
/// What is beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings and names.
pub(crate) const BOLD: Style = Style::new().bold();

const fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

/// The text in a style. The streams of [`crate::output`] take the codes out again where they do not belong.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How clap shows help.
pub(crate) const HELP: clap::builder::Styles = clap::builder::Styles::styled()
    .header(BOLD)
    .usage(BOLD)
    .literal(color(AnsiColor::Cyan))
    .placeholder(DIM)
    .error(BAD);

/// A duration for people: `340 µs`, `1.2 ms`, `3.4 s`, `2 min 5 s`.
pub(crate) fn duration(micros: u64) -> String {
    let tenths = |value: u64, unit: u64| format!("{}.{}", value / unit, value % unit * 10 / unit);
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", tenths(micros, 1_000)),
        1_000_000..60_000_000 => format!("{} s", tenths(micros, 1_000_000)),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// A size for people: `812 B`, `1.5 KiB`, `20.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", tenths(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}

/// `1 tool`, `2 tools`.
pub(crate) fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// The first line of a text, cut after `width` characters with `…`, with what could deceive escaped.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let text = toolcell::text::escape_control(text.trim());
    if text.chars().count() <= width {
        return text.into_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The width that text is wrapped to, in characters; what every terminal shows.
const WIDTH: usize = 80;

/// A text wrapped at blanks. The first line starts with `indent` blanks, those after it with `hanging`.
pub(crate) fn wrapped(text: &str, indent: usize, hanging: usize) -> String {
    let mut out = " ".repeat(indent);
    let mut used = indent;
    for (at, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if at > 0 && used + 1 + width > WIDTH {
            used = hanging;
            out.push('\n');
            out.push_str(&" ".repeat(used));
        } else if at > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        let durations = [0, 999, 1_234, 999_999, 3_400_000, 125_000_000].map(duration);
        assert_eq!(
            durations,
            ["0 µs", "999 µs", "1.2 ms", "999.9 ms", "3.4 s", "2 min 5 s"]
        );
        let sizes = [0, 1023, 1536, 20 << 20, 3 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "20.0 MiB", "3.0 GiB"]);
        assert_eq!([count(0, "tool"), count(1, "tool")], ["0 tools", "1 tool"]);
    }

    #[test]
    fn long_text_is_wrapped_at_blanks() {
        let text = wrapped(&"word ".repeat(40), 2, 4);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("    word"))
        );
        assert_eq!(text.split_whitespace().count(), 40);
        let long = "x".repeat(200);
        assert_eq!(wrapped(&format!("a {long}"), 0, 2), format!("a\n  {long}"));
        assert_eq!(wrapped("short", 2, 4), "  short");
    }

    #[test]
    fn lines_are_cut_and_escaped() {
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(one_line("abcd", 3), "ab…");
        assert_eq!(one_line(" a\u{1b}b\n", 20), "a\\u{1b}b");
    }
}
