//! Unified diffs of replacements.
//!
//! Where the text changed is known here, so there is nothing to search for: the diff takes time
//! and memory in proportion to the text, however often it changed.

use std::ops::Range;

/// The unchanged lines around a change.
const CONTEXT: usize = 3;

/// One text replaced by another.
struct Change<'a> {
    /// The lines that were taken out, as numbers from 0.
    removed: Range<usize>,
    /// The lines that came instead.
    added: Vec<&'a str>,
}

/// Replaces every `old` in `before` by `new`. Answers the text after, and the diff between the two
/// under the name `name`.
pub(crate) fn replace(name: &str, before: &str, old: &str, new: &str) -> (String, String) {
    let mut after = String::new();
    let mut blocks = Vec::new();
    let mut copied = 0;
    for block in touched(before, old) {
        after.push_str(before.get(copied..block.start).unwrap_or_default());
        let start = after.len();
        after.push_str(
            &before
                .get(block.clone())
                .unwrap_or_default()
                .replace(old, new),
        );
        copied = block.end;
        blocks.push((block, start..after.len()));
    }
    after.push_str(before.get(copied..).unwrap_or_default());
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let diff = print(name, &lines, &changes(before, &after, &blocks));
    (after, diff)
}

/// The whole lines that hold an `old`, as ranges of bytes that do not overlap.
fn touched(text: &str, old: &str) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for (place, _) in text.match_indices(old) {
        // Behind an `old` that ends in a newline the next line belongs to it: they may merge.
        let (from, to) = (line_start(text, place), line_end(text, place + old.len()));
        match blocks.last_mut() {
            Some(block) if from < block.end => block.end = to,
            _ => blocks.push(from..to),
        }
    }
    blocks
}

/// Where the line begins that holds byte `at`.
fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

/// Where the line ends (behind its newline) that holds byte `at`.
fn line_end(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |newline| at + newline + 1)
}

/// Blocks of bytes as changed lines, without the lines that stayed the same at their edges.
fn changes<'a>(
    before: &str,
    after: &'a str,
    blocks: &[(Range<usize>, Range<usize>)],
) -> Vec<Change<'a>> {
    let (mut counted, mut line) = (0, 0);
    let mut changes = Vec::new();
    for (from, to) in blocks {
        line += before
            .get(counted..from.start)
            .unwrap_or_default()
            .matches('\n')
            .count();
        counted = from.start;
        let old: Vec<&str> = split(before, from);
        let new: Vec<&str> = split(after, to);
        let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
        let head = old.iter().zip(&new).take_while(same).count();
        let (old, new) = (
            old.get(head..).unwrap_or_default(),
            new.get(head..).unwrap_or_default(),
        );
        let tail = old
            .iter()
            .rev()
            .zip(new.iter().rev())
            .take_while(same)
            .count();
        let start = line + head;
        let removed = start..start + old.len() - tail;
        let added = new.get(..new.len() - tail).unwrap_or_default().to_vec();
        if !removed.is_empty() || !added.is_empty() {
            changes.push(Change { removed, added });
        }
    }
    changes
}

fn split<'a>(text: &'a str, range: &Range<usize>) -> Vec<&'a str> {
    text.get(range.clone())
        .unwrap_or_default()
        .split_inclusive('\n')
        .collect()
}

fn print(name: &str, lines: &[&str], changes: &[Change<'_>]) -> String {
    let mut diff = format!("--- {name}\n+++ {name}\n");
    let mut shift = 0_isize;
    let mut rest = changes;
    while let Some(first) = rest.first() {
        let near = |pair: &&[Change<'_>]| match pair {
            [a, b] => b.removed.start.saturating_sub(a.removed.end) <= 2 * CONTEXT,
            _ => false,
        };
        let together = 1 + rest.windows(2).take_while(near).count();
        let (hunk, others) = rest.split_at(together);
        let last = hunk.last().unwrap_or(first);
        let from = first.removed.start.saturating_sub(CONTEXT);
        let to = (last.removed.end + CONTEXT).min(lines.len());
        shift = print_hunk(&mut diff, lines, hunk, from..to, shift);
        rest = others;
    }
    diff
}

/// Prints one hunk and answers by how much the lines behind it moved.
fn print_hunk(
    diff: &mut String,
    lines: &[&str],
    hunk: &[Change<'_>],
    extent: Range<usize>,
    shift: isize,
) -> isize {
    let removed: usize = hunk.iter().map(|change| change.removed.len()).sum();
    let added: usize = hunk.iter().map(|change| change.added.len()).sum();
    let (old, new) = (extent.len(), extent.len() - removed + added);
    let start = |count: usize, first: usize| if count == 0 { first } else { first + 1 };
    let new_first = extent.start.saturating_add_signed(shift);
    diff.push_str(&format!(
        "@@ -{},{old} +{},{new} @@\n",
        start(old, extent.start),
        start(new, new_first)
    ));
    let mut at = extent.start;
    for change in hunk {
        print_lines(diff, ' ', lines, at..change.removed.start);
        print_lines(diff, '-', lines, change.removed.clone());
        print_lines(diff, '+', &change.added, 0..change.added.len());
        at = change.removed.end;
    }
    print_lines(diff, ' ', lines, at..extent.end);
    shift + added.cast_signed() - removed.cast_signed()
}

fn print_lines(diff: &mut String, mark: char, lines: &[&str], range: Range<usize>) {
    for line in lines.get(range).unwrap_or_default() {
        diff.push(mark);
        diff.push_str(line);
        if !line.ends_with('\n') {
            diff.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests;
