use super::replace;

fn all(before: &str, old: &str, new: &str) -> (String, String) {
    replace("f", before, old, new)
}

#[test]
fn one_line_with_its_neighbours() {
    let (after, diff) = all("a\nb\nc\nd\ne\nf\ng\nh\n", "e\n", "E\n");
    assert_eq!(after, "a\nb\nc\nd\nE\nf\ng\nh\n");
    assert_eq!(
        diff,
        "--- f\n+++ f\n@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n"
    );
}

#[test]
fn unchanged_lines_of_old_are_context() {
    let (_, diff) = all("a\nb\nc\n", "a\nb\nc\n", "a\nB\nc\n");
    assert_eq!(diff, "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
}

#[test]
fn far_changes_make_hunks_of_their_own() {
    let before = "x\n1\n2\n3\n4\n5\n6\n7\nx\n";
    let (_, diff) = all(before, "x\n", "y\nz\n");
    let expected = "--- f\n+++ f\n@@ -1,4 +1,5 @@\n-x\n+y\n+z\n 1\n 2\n 3\n\
                    @@ -6,4 +7,5 @@\n 5\n 6\n 7\n-x\n+y\n+z\n";
    assert_eq!(diff, expected);
}

#[test]
fn the_end_without_a_newline_is_marked() {
    let (_, diff) = all("a\nb", "b", "c\n");
    let expected = "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n";
    assert_eq!(diff, expected);
}

#[test]
fn emptying_a_file_leaves_a_valid_hunk() {
    let (after, diff) = all("a\n", "a\n", "");
    assert_eq!(
        (after.as_str(), diff.as_str()),
        ("", "--- f\n+++ f\n@@ -1,1 +0,0 @@\n-a\n")
    );
}

/// Whatever is replaced: the text after is that of `str::replace`, and the diff leads from the
/// text before to it.
#[test]
fn the_diff_always_leads_from_before_to_after() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..20_000 {
        let mut text = |most: usize, least: usize| -> String {
            let length = least + random(most);
            (0..length)
                .map(|_| ["a", "b", "\n", "\n"][random(4)])
                .collect()
        };
        let (before, old, new) = (text(40, 0), text(4, 1), text(6, 0));
        if !before.contains(&old) || old == new {
            continue;
        }
        let (after, diff) = all(&before, &old, &new);
        assert_eq!(after, before.replace(&old, &new), "round {round}");
        assert_eq!(
            apply(&before, &diff),
            after,
            "round {round}: {before:?} {old:?} {new:?}\n{diff}"
        );
    }
}

/// A strict `patch`: context and removed lines have to stand where the diff says.
fn apply(before: &str, diff: &str) -> String {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let (mut after, mut at) = (String::new(), 0);
    let mut after_lines = 0;
    let mut input = diff.split_inclusive('\n').skip(2).peekable();
    while let Some(line) = input.next() {
        let bare = input.peek().is_some_and(|next| next.starts_with('\\'));
        let (mark, content) = line.split_at(1);
        let content = if bare {
            content.trim_end_matches('\n')
        } else {
            content
        };
        match mark {
            "@" => {
                let ranges: Vec<usize> = line
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|number| number.parse().ok())
                    .collect();
                let start = if ranges[1] == 0 {
                    ranges[0]
                } else {
                    ranges[0] - 1
                };
                for line in &lines[at..start] {
                    after.push_str(line);
                    after_lines += 1;
                }
                at = start;
                let new_start = if ranges[3] == 0 {
                    ranges[2]
                } else {
                    ranges[2] - 1
                };
                assert_eq!(new_start, after_lines, "{diff}");
            }
            " " => {
                assert_eq!(lines[at], content, "{diff}");
                after.push_str(content);
                at += 1;
                after_lines += 1;
            }
            "-" => {
                assert_eq!(lines[at], content, "{diff}");
                at += 1;
            }
            "+" => {
                after.push_str(content);
                after_lines += 1;
            }
            "\\" => {}
            other => panic!("{other}"),
        }
    }
    after + &lines[at..].concat()
}
