//! The text format of Prometheus, as far as this program writes it: read back, added up, and written again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The most samples that are read.
const MAX_SAMPLES: usize = 100_000;

/// Families of metrics, by their names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Exposition {
    families: BTreeMap<String, Family>,
}

#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    help: String,
    /// By name and labels, as written, in the order of the text.
    samples: Vec<(String, f64)>,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// The number of the first line that cannot be read, and why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        let mut samples = 0_usize;
        for (number, line) in (1_usize..).zip(text.lines()) {
            let wrong = |why: &str| format!("line {number} {why}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                help.clone_into(&mut read.family(name).help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("has no type"))?;
                kind.clone_into(&mut read.family(name).kind);
            } else if !line.is_empty() {
                samples = samples.saturating_add(1);
                if samples > MAX_SAMPLES {
                    return Err(wrong("is one sample too many"));
                }
                read.sample(line).map_err(wrong)?;
            }
        }
        Ok(read)
    }

    fn family(&mut self, name: &str) -> &mut Family {
        self.families.entry(name.to_owned()).or_default()
    }

    fn sample(&mut self, line: &str) -> Result<(), &'static str> {
        let (series, value) = line.rsplit_once(' ').ok_or("has no value")?;
        let value = value.parse().map_err(|_| "has no number at its end")?;
        let name = series.split('{').next().unwrap_or(series);
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|base| {
                self.families
                    .get(*base)
                    .is_some_and(|it| it.kind == "histogram")
            });
        let family = of_histogram.unwrap_or(name);
        let family = self
            .families
            .get_mut(family)
            .ok_or("has no type before it")?;
        family.samples.push((series.to_owned(), value));
        Ok(())
    }

    /// Adds what an earlier text counted. Its gauges are forgotten, and so is a histogram whose buckets were others.
    pub(crate) fn add(&mut self, earlier: Self) {
        for (name, old) in earlier.families {
            if old.kind != "counter" && old.kind != "histogram" {
                continue;
            }
            match self.families.get_mut(&name) {
                None => {
                    self.families.insert(name, old);
                }
                Some(new) if new.kind == old.kind && new.buckets() == old.buckets() => new.add(old),
                Some(_) => {}
            }
        }
    }
}

impl Family {
    /// The upper bounds of a histogram's buckets.
    fn buckets(&self) -> BTreeSet<&str> {
        let bound = |(series, _): &'_ (String, f64)| -> Option<(usize, usize)> {
            let at = series.rfind("le=\"")?;
            Some((at, series.len()))
        };
        self.samples
            .iter()
            .filter_map(|sample| {
                let (from, to) = bound(sample)?;
                sample.0.get(from..to)
            })
            .collect()
    }

    fn add(&mut self, old: Self) {
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        for (index, (series, _)) in self.samples.iter().enumerate() {
            at.insert(series.clone(), index);
        }
        for (series, value) in old.samples {
            match at
                .get(&series)
                .and_then(|index| self.samples.get_mut(*index))
            {
                Some((_, sum)) => *sum += value,
                None => self.samples.push((series, value)),
            }
        }
    }
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.families {
            if family.samples.is_empty() {
                continue;
            }
            if !family.help.is_empty() {
                writeln!(f, "# HELP {name} {}", family.help)?;
            }
            writeln!(f, "# TYPE {name} {}", family.kind)?;
            for (series, value) in &family.samples {
                writeln!(f, "{series} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP a_total What \\\\ it is.
# TYPE a_total counter
a_total{x=\"a } b\",y=\"c\\\"d\"} 2
a_total{x=\"2\"} 0.5
# TYPE h histogram
h_bucket{x=\"1\",le=\"1\"} 1
h_bucket{x=\"1\",le=\"+Inf\"} 3
h_sum{x=\"1\"} 7.25
h_count{x=\"1\"} 3
";

    #[test]
    fn a_text_comes_back_as_it_was() {
        assert_eq!(Exposition::parse(TEXT).unwrap().to_string(), TEXT);
    }

    #[test]
    fn two_commands_count_together() {
        let mut sum = Exposition::parse(TEXT).unwrap();
        sum.add(Exposition::parse(TEXT).unwrap());
        let text = sum.to_string();
        for line in [
            "a_total{x=\"a } b\",y=\"c\\\"d\"} 4",
            "a_total{x=\"2\"} 1",
            "h_bucket{x=\"1\",le=\"+Inf\"} 6",
            "h_sum{x=\"1\"} 14.5",
            "h_count{x=\"1\"} 6",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn other_buckets_count_from_zero() {
        let mut sum = Exposition::parse(TEXT).unwrap();
        sum.add(Exposition::parse(&TEXT.replace("le=\"1\"", "le=\"2\"")).unwrap());
        assert!(sum.to_string().contains("h_count{x=\"1\"} 3\n"));
    }

    #[test]
    fn what_is_no_such_text_is_told_with_its_line() {
        for (text, says) in [
            ("a 1\n", "line 1 has no type before it"),
            ("# TYPE a counter\na\n", "line 2 has no value"),
            ("# TYPE a counter\na b\n", "line 2 has no number at its end"),
            ("# TYPE a\n", "line 1 has no type"),
        ] {
            assert_eq!(Exposition::parse(text).unwrap_err(), says);
        }
        let many = "# TYPE a counter\n".to_owned() + &"a 1\n".repeat(MAX_SAMPLES + 1);
        assert!(Exposition::parse(&many).unwrap_err().contains("too many"));
    }
}
