//! A strict reader of Prometheus' text format: what `promtool check metrics` would refuse, it refuses.

#![allow(clippy::panic, reason = "what is wrong stops the test")]

use std::collections::{BTreeMap, BTreeSet};

/// Every sample of a text that is right: by name and labels, sorted.
pub(crate) type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

#[derive(Default)]
struct Family {
    kind: String,
    help: bool,
    samples: usize,
}

/// The samples of the text.
///
/// # Panics
/// Where anything about it is wrong.
pub(crate) fn check(text: &str) -> Samples {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line has no end"
    );
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut samples = Samples::new();
    let mut current = String::new();
    for line in text.lines() {
        assert_eq!(line, line.trim(), "{line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            assert!(is_name(name) && !help.is_empty(), "{line}");
            let family = families.entry(name.to_owned()).or_default();
            assert!(
                !family.help && family.samples == 0,
                "HELP comes once and first: {line}"
            );
            family.help = true;
            name.clone_into(&mut current);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let family = families.entry(name.to_owned()).or_default();
            assert!(
                family.help && family.kind.is_empty() && family.samples == 0,
                "{line}"
            );
            kind.clone_into(&mut family.kind);
            name.clone_into(&mut current);
        } else {
            assert!(!line.starts_with('#') && !line.is_empty(), "{line:?}");
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).unwrap();
            family.samples += 1;
            let suffixes: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let fits = suffixes.iter().any(|it| name == format!("{current}{it}"));
            assert!(fits, "it stands among {current}: {line}");
            if family.kind == "counter" {
                assert!(name.ends_with("_total"), "{line}");
            } else {
                assert!(!name.ends_with("_total"), "{line}");
            }
            assert!(family.kind == "gauge" || value >= 0.0, "{line}");
            let again = samples.insert((name, labels), value);
            assert!(again.is_none(), "it stands there twice: {line}");
        }
    }
    for (name, family) in &families {
        assert!(family.samples > 0 && !family.kind.is_empty(), "{name}");
        if family.kind == "histogram" {
            histogram(name, &samples);
        }
    }
    samples
}

/// Every series of a histogram has buckets that only grow, the last of them without a bound and equal to its count.
fn histogram(name: &str, samples: &Samples) {
    type Labels = BTreeMap<String, String>;
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((sample, labels), value) in samples {
        if *sample == format!("{name}_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse().unwrap()
            };
            series.entry(labels).or_default().push((bound, *value));
        } else if sample.starts_with(name) {
            assert!(!labels.contains_key("le"), "{sample} {labels:?}");
        }
    }
    assert!(!series.is_empty(), "{name} has no buckets");
    let mut bounds = BTreeSet::new();
    for (labels, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            buckets.windows(2).all(|two| two[0].1 <= two[1].1),
            "{name} {labels:?}"
        );
        let last = buckets.last().unwrap();
        assert!(last.0.is_infinite(), "{name} {labels:?}");
        let count = samples[&(format!("{name}_count"), labels.clone())];
        assert_eq!(last.1, count, "{name} {labels:?}");
        assert!(
            samples.contains_key(&(format!("{name}_sum"), labels)),
            "{name}"
        );
        bounds.insert(format!(
            "{:?}",
            buckets.iter().map(|it| it.0).collect::<Vec<_>>()
        ));
    }
    assert_eq!(bounds.len(), 1, "{name} has the same buckets everywhere");
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Name, labels and value.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().unwrap_or_else(|_| panic!("{line}")),
    };
    let Some((name, labels)) = series.split_once('{') else {
        assert!(is_name(series), "{line}");
        return (series.to_owned(), BTreeMap::new(), value);
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(label), "{line}");
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            let (at, c) = chars.next().unwrap_or_else(|| panic!("{line}"));
            match c {
                '"' => break at,
                '\\' => text.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => panic!("{line}"),
                }),
                c => text.push(c),
            }
        };
        assert!(found.insert(label.to_owned(), text).is_none(), "{line}");
        rest = &after[end + 1..];
        if let Some(more) = rest.strip_prefix(',') {
            assert!(!more.is_empty(), "{line}");
            rest = more;
        } else {
            assert!(rest.is_empty(), "{line}");
        }
    }
    (name.to_owned(), found, value)
}

/// The sum of all samples of this name that have these labels.
pub(crate) fn sum(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |found: &BTreeMap<String, String>| {
        labels
            .iter()
            .all(|(label, value)| found.get(*label).is_some_and(|it| it == value))
    };
    samples
        .iter()
        .filter(|((sample, found), _)| sample == name && fits(found))
        .map(|(_, value)| value)
        .sum()
}

#[test]
fn what_is_wrong_is_refused() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"a\\\"\\\\\\n\"} 1\n";
    assert_eq!(sum(&check(good), "a_total", &[("x", "a\"\\\n")]), 1.0);
    for bad in [
        "a_total 1\n",
        "# TYPE a_total counter\na_total 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1\na_total 2\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=1} 1\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\",} 1\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total -1\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1",
        "# HELP a.b_total A.\n# TYPE a.b_total counter\na.b_total 1\n",
        "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    ] {
        let refused = std::panic::catch_unwind(|| check(bad));
        assert!(refused.is_err(), "{bad}");
    }
}
