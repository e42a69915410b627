//! The beginnings of all forms as one automaton.
//!
//! The automaton knows the first [`BEGINNING_BYTES`] bytes of each form; what begins like one is compared with the whole.
//! That keeps the automaton small however long a value is.

use std::ops::Range;

use aho_corasick::{
    MatchKind,
    automaton::{Automaton, StateID},
    dfa,
    nfa::{contiguous, noncontiguous},
};

use super::forms::{self, Form};

/// How much of a form the automaton knows.
pub(super) const BEGINNING_BYTES: usize = 8;
/// Up to this size the automaton is a table of all transitions, which is fastest; that is enough for about 50 secrets. A
/// larger one follows failure links, which is slower and takes a tenth of the memory.
pub(super) const TABLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A form of one of the secrets.
pub(super) struct Wanted {
    /// Its bytes in lower case.
    pub(super) form: Form,
    /// Which secret it is of.
    pub(super) secret: usize,
}

/// Forms to search for.
pub(super) struct Search {
    machine: Machine,
    start: StateID,
    /// Sorted by their bytes, so that those which begin alike stand together.
    wanted: Vec<Wanted>,
    /// The forms that begin with each pattern of the automaton.
    beginning_with: Vec<Range<usize>>,
    depths: Depths,
}

/// The kinds of automata.
pub(super) enum Machine {
    Table(dfa::DFA),
    Links(contiguous::NFA),
}

impl Search {
    /// Prepares the search for all forms of these values. `None` where there is nothing to search for.
    pub(super) fn new(values: &[&[u8]], table_bytes_max: usize) -> Option<Self> {
        let mut wanted: Vec<Wanted> = values
            .iter()
            .enumerate()
            .flat_map(|(secret, value)| {
                let forms = forms::of(value).into_iter();
                forms.map(move |form| Wanted { form, secret })
            })
            .filter(|wanted| !wanted.form.is_empty())
            .collect();
        wanted.sort_by(|a, b| (a.form.as_slice(), a.secret).cmp(&(b.form.as_slice(), b.secret)));
        let mut patterns: Vec<&[u8]> = Vec::new();
        let mut beginning_with: Vec<Range<usize>> = Vec::new();
        for (index, wanted) in wanted.iter().enumerate() {
            let beginning = beginning(&wanted.form);
            match beginning_with.last_mut() {
                Some(range) if patterns.last() == Some(&beginning) => range.end = index + 1,
                _ => {
                    patterns.push(beginning);
                    beginning_with.push(index..index + 1);
                }
            }
        }
        let machine = Machine::new(&patterns, table_bytes_max)?;
        let (start, depths) = match &machine {
            Machine::Table(table) => Depths::new(table, &patterns),
            Machine::Links(links) => Depths::new(links, &patterns),
        }?;
        drop(patterns);
        Some(Self {
            machine,
            start,
            wanted,
            beginning_with,
            depths,
        })
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn start(&self) -> StateID {
        self.start
    }

    /// How many of the last bytes are the beginning of a form, in a state.
    pub(super) fn depth(&self, state: StateID) -> usize {
        self.depths.of(state)
    }

    /// The form with a number.
    pub(super) fn wanted(&self, index: usize) -> Option<&Wanted> {
        self.wanted.get(index)
    }

    /// The forms that begin with a pattern.
    pub(super) fn beginning_with(&self, pattern: usize) -> Range<usize> {
        self.beginning_with.get(pattern).cloned().unwrap_or(0..0)
    }

    /// Those of some forms that begin alike, up to a length, which go on with a byte.
    pub(super) fn going_on(&self, forms: &Range<usize>, seen: usize, byte: u8) -> Range<usize> {
        let alike = self.wanted.get(forms.clone()).unwrap_or(&[]);
        let at = |wanted: &Wanted| wanted.form.get(seen).copied();
        if let [one] = alike {
            let end = forms.start + usize::from(at(one) == Some(byte));
            return forms.start..end;
        }
        // `None`, for a form that ends here, is less than any byte, as it is in their order.
        let less = alike.partition_point(|wanted| at(wanted) < Some(byte));
        let more = alike.partition_point(|wanted| at(wanted) <= Some(byte));
        forms.start + less..forms.start + more
    }
}

/// The part of a form that the automaton knows. It ends with a whole character.
fn beginning(form: &[u8]) -> &[u8] {
    let mut end = form.len().min(BEGINNING_BYTES);
    let inside = |end| {
        form.get(end)
            .is_some_and(|byte: &u8| (0x80..0xc0).contains(byte))
    };
    while end > BEGINNING_BYTES - 3 && inside(end) {
        end -= 1;
    }
    form.get(..end).unwrap_or(form)
}

impl Machine {
    /// `None` where there is no pattern. (That the automaton cannot be built would take more than two thousand million
    /// states.)
    fn new(patterns: &[&[u8]], table_bytes_max: usize) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        let links = noncontiguous::Builder::new()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(patterns)
            .ok()?;
        let states: usize = patterns.iter().map(|pattern| pattern.len()).sum();
        let mut used = [false; 256];
        for byte in patterns.iter().copied().flatten() {
            if let Some(used) = used.get_mut(usize::from(*byte)) {
                *used = true;
            }
        }
        // Every byte that is used is a class of its own, and so is what lies between two.
        let classes = used.iter().filter(|used| **used).count() * 2 + 1;
        let row = classes.min(256).next_power_of_two() * size_of::<u32>();
        if states.saturating_mul(row) <= table_bytes_max {
            let mut builder = dfa::Builder::new();
            builder.match_kind(MatchKind::Standard).prefilter(false);
            builder
                .build_from_noncontiguous(&links)
                .ok()
                .map(Self::Table)
        } else {
            let mut builder = contiguous::Builder::new();
            builder.match_kind(MatchKind::Standard).prefilter(false);
            builder
                .build_from_noncontiguous(&links)
                .ok()
                .map(Self::Links)
        }
    }
}

/// How deep each state lies.
struct Depths {
    depths: Vec<u8>,
    /// The numbers of states have so many zeros at their end.
    shift: u32,
}

impl Depths {
    /// The first state, and the depth of each, which is found by going the way of every pattern.
    fn new<A: Automaton>(machine: &A, patterns: &[&[u8]]) -> Option<(StateID, Self)> {
        let start = machine.start_state(aho_corasick::Anchored::No).ok()?;
        let mut found = Vec::new();
        for pattern in patterns {
            let mut state = start;
            for (depth, byte) in (1..).zip(*pattern) {
                state = machine.next_state(aho_corasick::Anchored::No, state, *byte);
                found.push((state.as_usize(), depth));
            }
        }
        let bits = found
            .iter()
            .fold(start.as_usize(), |bits, (state, _)| bits | state);
        let shift = bits.trailing_zeros().min(usize::BITS - 1);
        let last = found.iter().map(|(state, _)| state >> shift).max()?;
        let mut depths = vec![0; last + 1];
        for (state, depth) in found {
            if let Some(known) = depths.get_mut(state >> shift) {
                *known = depth;
            }
        }
        Some((start, Self { depths, shift }))
    }

    fn of(&self, state: StateID) -> usize {
        let depth = self.depths.get(state.as_usize() >> self.shift);
        usize::from(depth.copied().unwrap_or(0))
    }
}
