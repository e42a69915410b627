//! One pass over a text that follows every way to read it.
//!
//! The text as it stands is followed always, so that nothing before a value can swallow its beginning. Where a place can
//! be read differently, as an escape or as a gap, a branch follows that reading, and ends as soon as what it read is the
//! beginning of no form, or is seen as well without it. What has the beginning of a form is followed as a candidate until
//! it differs from the form or is whole.

use std::ops::Range;

use aho_corasick::{
    Anchored, PatternID,
    automaton::{Automaton, StateID},
};

use super::{
    reading::{Gap, Reading, Text, is_plain, is_separator},
    search::{BEGINNING_BYTES, Machine, Search},
};

/// The most bytes, or escapes, between two characters of a value.
const GAP_MAX: u8 = 16;
/// The most branches at a time. Plain text has one or two; the newest above this many are not followed.
const BRANCHES_MAX: usize = 64;
/// The most candidates at a time. Above this many the oldest is taken for a hit, so that too much is gone and not too
/// little.
const CANDIDATES_MAX: usize = 64;
/// How much longer than what was seen of its form a candidate may be: so many times, and so many bytes.
const STRETCH: (usize, usize) = (16, 256);

/// A form of a secret, found from a place up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) secret: usize,
}

/// What was skipped since the last character.
#[derive(Clone, Copy, Default)]
struct Skipped {
    count: u8,
    line: bool,
}

impl Skipped {
    /// One more gap, where that is not too much: a blank line ends every value.
    fn and(self, gap: Gap) -> Option<Self> {
        let line = gap == Gap::Line;
        (self.count < GAP_MAX && !(line && self.line)).then_some(Self {
            count: self.count + 1,
            line: self.line || line,
        })
    }
}

/// A way to read the text up to a place.
#[derive(Clone)]
struct Branch {
    at: usize,
    state: StateID,
    /// Where its last characters begin in the text, the newest last.
    starts: [usize; BEGINNING_BYTES],
    /// How many characters it read as they stand since it differed from the text. Those are seen without it.
    alike: usize,
    skipped: Skipped,
}

impl Branch {
    fn push(&mut self, start: usize) {
        self.starts.rotate_left(1);
        if let Some(last) = self.starts.last_mut() {
            *last = start;
        }
    }

    /// Where its last `count` characters begin.
    fn start(&self, count: usize) -> usize {
        let index = BEGINNING_BYTES.saturating_sub(count);
        self.starts.get(index).copied().unwrap_or(self.at)
    }
}

/// The beginning of a form, or of several that begin alike.
#[derive(Clone)]
struct Candidate {
    at: usize,
    start: usize,
    forms: Range<usize>,
    /// How much of them was seen.
    seen: usize,
    skipped: Skipped,
}

/// A pass over a text that may come in pieces.
pub(super) struct Scan {
    at: usize,
    state: StateID,
    branches: Vec<Branch>,
    candidates: Vec<Candidate>,
    // Kept for their memory.
    readings: Vec<Reading>,
    here: Vec<Branch>,
    candidates_here: Vec<Candidate>,
    hits: Vec<Hit>,
}

impl Scan {
    pub(super) fn new(search: &Search) -> Self {
        Self {
            at: 0,
            state: search.start(),
            branches: Vec::new(),
            candidates: Vec::new(),
            readings: Vec::new(),
            here: Vec::new(),
            candidates_here: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Goes on as far as these bytes allow, the first of which stands at `base`.
    pub(super) fn run(&mut self, search: &Search, bytes: &[u8], base: usize, whole: bool) {
        let text = Text::new(bytes, whole);
        match search.machine() {
            Machine::Table(table) => Pass {
                scan: self,
                search,
                machine: table,
                text,
                base,
            }
            .run(),
            Machine::Links(links) => Pass {
                scan: self,
                search,
                machine: links,
                text,
                base,
            }
            .run(),
        }
    }

    /// What was found, in no order, and not given before.
    pub(super) fn hits(&mut self) -> &mut Vec<Hit> {
        &mut self.hits
    }

    /// Nothing that is found later begins before this place.
    pub(super) fn safe(&self, search: &Search) -> usize {
        let text = self.at.saturating_sub(search.depth(self.state));
        let branches = self
            .branches
            .iter()
            .map(|branch| branch.start(search.depth(branch.state)));
        let candidates = self.candidates.iter().map(|candidate| candidate.start);
        branches.chain(candidates).fold(text, usize::min)
    }
}

/// A scan with what it works on.
struct Pass<'a, A> {
    scan: &'a mut Scan,
    search: &'a Search,
    machine: &'a A,
    text: Text<'a>,
    base: usize,
}

impl<A: Automaton> Pass<'_, A> {
    fn run(&mut self) {
        let end = self.base + self.text.len();
        loop {
            // Up to where a branch or a candidate goes on.
            let branches = self.scan.branches.iter().map(|branch| branch.at);
            let candidates = self.scan.candidates.iter().map(|candidate| candidate.at);
            let until = branches.chain(candidates).fold(end, usize::min);
            self.plain(until);
            if self.scan.at >= end || !self.step() {
                return;
            }
        }
    }

    fn next(&self, state: StateID, byte: u8) -> StateID {
        self.machine.next_state(Anchored::No, state, byte)
    }

    /// Follows the text as it stands up to a place, to where it could be read differently, or to where a form begins.
    fn plain(&mut self, until: usize) {
        let mut state = self.scan.state;
        let mut at = self.scan.at - self.base;
        let until = until - self.base;
        while at < until
            && let Some(byte) = self.text.byte(at)
        {
            if !is_plain(byte) && !self.passes(state, byte, at) {
                break;
            }
            state = self.next(state, byte.to_ascii_lowercase());
            at += 1;
            if self.machine.is_special(state) && self.machine.is_match(state) {
                self.found(state, at);
                break;
            }
        }
        self.scan.state = state;
        self.scan.at = self.base + at;
    }

    /// Whether no branch needs to begin at a byte.
    fn passes(&mut self, state: StateID, byte: u8, at: usize) -> bool {
        if is_separator(byte) {
            return self.gap_ends(state, at + 1, Gap::of(byte));
        }
        let mut readings = std::mem::take(&mut self.scan.readings);
        let ready = self.text.read(at, &mut readings);
        let passes = ready
            && readings.iter().all(|reading| match reading.gap {
                Some(gap) => self.gap_ends(state, at + reading.len, gap),
                None => {
                    let read = self.read(state, reading);
                    self.search.depth(read) == 0
                        || !self.machine.is_match(read)
                            && self.ends(read, at + reading.len, 0, Skipped::default())
                }
            });
        self.scan.readings = readings;
        passes
    }

    /// The state after a reading.
    fn read(&self, state: StateID, reading: &Reading) -> StateID {
        let read = |state, byte: &u8| self.next(state, *byte);
        reading.bytes().iter().fold(state, read)
    }

    /// As [`ends`](Self::ends), after a gap.
    fn gap_ends(&self, state: StateID, at: usize, gap: Gap) -> bool {
        let skipped = Skipped::default().and(gap);
        self.search.depth(state) == 0
            || skipped.is_none_or(|skipped| self.ends(state, at, 0, skipped))
    }

    /// Whether what was read up to a place is seen not to go on to a form, or to be seen without a branch. Where there is
    /// more than one way to read on, it is not.
    fn ends(
        &self,
        mut state: StateID,
        mut at: usize,
        mut alike: usize,
        mut skipped: Skipped,
    ) -> bool {
        while let Some(byte) = self.text.byte(at) {
            let next = self.next(state, byte.to_ascii_lowercase());
            let is_alive = self.search.depth(next) > alike + 1;
            at += 1;
            if is_plain(byte) {
                if !is_alive {
                    return true;
                }
                if self.machine.is_match(next) {
                    return false;
                }
                (state, alike, skipped) = (next, alike + 1, Skipped::default());
            } else {
                if is_alive || !is_separator(byte) {
                    return false;
                }
                let Some(more) = skipped.and(Gap::of(byte)) else {
                    return true;
                };
                (alike, skipped) = (0, more);
            }
        }
        false
    }

    /// One byte, in every way to read it. Gives `false` where more of the text is needed for that.
    fn step(&mut self) -> bool {
        let at = self.scan.at;
        let Some(byte) = self.text.byte(at - self.base) else {
            return false;
        };
        let mut readings = std::mem::take(&mut self.scan.readings);
        let ready = self.text.read(at - self.base, &mut readings);
        if ready {
            let byte = byte.to_ascii_lowercase();
            self.candidates(byte, &readings);
            self.branches(byte, &readings);
            self.scan.state = self.next(self.scan.state, byte);
            self.scan.at = at + 1;
            if self.machine.is_match(self.scan.state) {
                self.found(self.scan.state, at + 1 - self.base);
            }
        }
        self.scan.readings = readings;
        ready
    }

    /// The text as it stands has the beginnings of forms up to this place.
    fn found(&mut self, state: StateID, end: usize) {
        let end = self.base + end;
        for index in 0..self.machine.match_len(state) {
            let pattern = self.machine.match_pattern(state, index);
            let start = end - self.machine.pattern_len(pattern);
            self.begin(pattern, start, end);
        }
    }

    /// Makes a candidate of the forms that begin with a pattern.
    fn begin(&mut self, pattern: PatternID, start: usize, at: usize) {
        self.candidate(Candidate {
            at,
            start,
            forms: self.search.beginning_with(pattern.as_usize()),
            seen: self.machine.pattern_len(pattern),
            skipped: Skipped::default(),
        });
    }

    fn candidate(&mut self, mut new: Candidate) {
        let (start, end) = (new.start, new.at);
        // Those that are whole come first.
        while new.skipped.count == 0
            && let Some(wanted) = self.search.wanted(new.forms.start)
            && !new.forms.is_empty()
            && wanted.form.len() <= new.seen
        {
            let secret = wanted.secret;
            self.scan.hits.push(Hit { start, end, secret });
            new.forms.start += 1;
        }
        if new.forms.is_empty() || end - start > new.seen * STRETCH.0 + STRETCH.1 {
            return;
        }
        let key = |it: &Candidate| {
            (
                it.at,
                it.forms.start,
                it.forms.end,
                it.seen,
                it.skipped.line,
            )
        };
        let mut candidates = self.scan.candidates.iter_mut();
        if let Some(old) = candidates.find(|old| key(old) == key(&new)) {
            old.start = old.start.min(new.start);
            if new.skipped.count < old.skipped.count {
                old.skipped = new.skipped;
            }
            return;
        }
        if self.scan.candidates.len() >= CANDIDATES_MAX {
            self.give_up();
        }
        self.scan.candidates.push(new);
    }

    /// Takes the oldest candidate for a hit.
    fn give_up(&mut self) {
        let oldest = self
            .scan
            .candidates
            .iter()
            .enumerate()
            .min_by_key(|(_, it)| it.start);
        let Some((index, _)) = oldest else {
            return;
        };
        let oldest = self.scan.candidates.swap_remove(index);
        if let Some(wanted) = self.search.wanted(oldest.forms.start) {
            let (start, end, secret) = (oldest.start, oldest.at, wanted.secret);
            self.scan.hits.push(Hit { start, end, secret });
        }
    }

    fn candidates(&mut self, byte: u8, readings: &[Reading]) {
        let at = self.scan.at;
        let mut here = std::mem::take(&mut self.scan.candidates_here);
        here.extend(self.scan.candidates.extract_if(.., |it| it.at == at));
        for candidate in here.drain(..) {
            self.go_on(&candidate, &[byte], 1);
            for reading in readings {
                match reading.gap {
                    None => self.go_on(&candidate, reading.bytes(), reading.len),
                    Some(gap) => {
                        if let Some(skipped) = candidate.skipped.and(gap) {
                            self.candidate(Candidate {
                                at: at + reading.len,
                                skipped,
                                ..candidate.clone()
                            });
                        }
                    }
                }
            }
        }
        self.scan.candidates_here = here;
    }

    /// Keeps the forms of a candidate that go on with some bytes.
    fn go_on(&mut self, candidate: &Candidate, bytes: &[u8], len: usize) {
        let (mut forms, mut seen) = (candidate.forms.clone(), candidate.seen);
        for byte in bytes {
            forms = self.search.going_on(&forms, seen, *byte);
            seen += 1;
        }
        if !forms.is_empty() {
            self.candidate(Candidate {
                at: candidate.at + len,
                start: candidate.start,
                forms,
                seen,
                skipped: Skipped::default(),
            });
        }
    }

    fn branches(&mut self, byte: u8, readings: &[Reading]) {
        let at = self.scan.at;
        let mut here = std::mem::take(&mut self.scan.here);
        here.extend(self.scan.branches.extract_if(.., |it| it.at == at));
        for mut branch in here.drain(..) {
            for reading in readings {
                self.follow(&branch, reading);
            }
            branch.push(at);
            branch.at = at + 1;
            branch.state = self.next(branch.state, byte);
            branch.alike += 1;
            branch.skipped = Skipped::default();
            self.branch(branch);
        }
        self.scan.here = here;
        let state = self.scan.state;
        if !readings
            .iter()
            .any(|reading| self.search.depth(self.read(state, reading)) > 0)
        {
            return;
        }
        let text = Branch {
            at,
            state: self.scan.state,
            starts: std::array::from_fn(|index| (at + index).saturating_sub(BEGINNING_BYTES)),
            alike: 0,
            skipped: Skipped::default(),
        };
        for reading in readings {
            self.follow(&text, reading);
        }
    }

    /// Reads on in a way that differs from the text.
    fn follow(&mut self, branch: &Branch, reading: &Reading) {
        let mut next = branch.clone();
        next.at = branch.at + reading.len;
        next.alike = 0;
        match reading.gap {
            Some(gap) => {
                let Some(skipped) = branch.skipped.and(gap) else {
                    return;
                };
                next.skipped = skipped;
            }
            None => {
                next.skipped = Skipped::default();
                next.state = self.read(branch.state, reading);
                for _ in reading.bytes() {
                    next.push(branch.at);
                }
            }
        }
        self.branch(next);
    }

    fn branch(&mut self, new: Branch) {
        let depth = self.search.depth(new.state);
        if depth <= new.alike {
            return;
        }
        // A gap does not find again what was found before it.
        if new.skipped.count == 0 && self.machine.is_match(new.state) {
            for index in 0..self.machine.match_len(new.state) {
                let pattern = self.machine.match_pattern(new.state, index);
                let start = new.start(self.machine.pattern_len(pattern));
                self.begin(pattern, start, new.at);
            }
        }
        if self.ends(new.state, new.at - self.base, new.alike, new.skipped) {
            return;
        }
        let same = |old: &&mut Branch| {
            (old.at, old.state, old.skipped.line) == (new.at, new.state, new.skipped.line)
        };
        if let Some(old) = self.scan.branches.iter_mut().find(same) {
            if new.start(depth) < old.start(depth) {
                old.starts = new.starts;
            }
            old.alike = old.alike.min(new.alike);
            if new.skipped.count < old.skipped.count {
                old.skipped = new.skipped;
            }
            return;
        }
        if self.scan.branches.len() < BRANCHES_MAX {
            self.scan.branches.push(new);
        }
    }
}
