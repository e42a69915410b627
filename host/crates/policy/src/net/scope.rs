//! Sets of requests: what lies inside, what covers what, and what is left of two.

use std::fmt;

use serde::Serialize;
use url::Url;

use super::{Endpoint, Method, PathPattern, RequestPath};

/// A set of requests: an endpoint (or any), methods, and path patterns. All three must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetScope {
    /// Where to; `None` is anywhere, which only a package's *request* can say.
    pub to: Option<Endpoint>,
    /// With which methods; never empty.
    pub methods: Vec<Method>,
    /// To which paths: one of these patterns must match; never empty.
    pub paths: Vec<PathPattern>,
}

impl NetScope {
    /// Whether this request lies inside. Empty segments (`//`) are read by some servers as one slash and by others as
    /// they stand, so the path must match in both readings.
    pub(crate) fn contains(&self, method: Method, url: &Url, path: &RequestPath) -> bool {
        self.reaches(method, url)
            && path
                .readings()
                .all(|reading| self.paths.iter().any(|it| it.matches(reading)))
    }

    /// Whether this request lies inside in any reading; for rules that restrict.
    pub(crate) fn touches(&self, method: Method, url: &Url, path: &RequestPath) -> bool {
        self.reaches(method, url)
            && path
                .readings()
                .any(|reading| self.paths.iter().any(|it| it.matches(reading)))
    }

    fn reaches(&self, method: Method, url: &Url) -> bool {
        self.methods.contains(&method) && self.reaches_host(url)
    }

    pub(crate) fn reaches_host(&self, url: &Url) -> bool {
        self.to
            .as_ref()
            .is_none_or(|endpoint| endpoint.matches(url))
    }

    /// Whether every request inside `other` certainly is inside this one too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let endpoint = match (&self.to, &other.to) {
            (None, _) => true,
            (Some(mine), Some(theirs)) => mine.covers(theirs),
            (Some(_), None) => false,
        };
        endpoint
            && other
                .methods
                .iter()
                .all(|method| self.methods.contains(method))
            && other
                .paths
                .iter()
                .all(|path| self.paths.iter().any(|mine| mine.covers(path)))
    }

    /// What lies in both, as far as it can be written as one scope; `None` when certainly nothing does. The paths stay
    /// those of `self` that may overlap, so the answer can be larger than what is in both: it is for showing.
    pub(crate) fn narrowed_by(&self, other: &Self) -> Option<Self> {
        let to = match (&self.to, &other.to) {
            (mine, None) => mine.clone(),
            (None, theirs) => theirs.clone(),
            (Some(mine), Some(theirs)) if mine.covers(theirs) => Some(theirs.clone()),
            (Some(mine), Some(theirs)) if theirs.covers(mine) => Some(mine.clone()),
            _ => return None,
        };
        let methods: Vec<Method> = self
            .methods
            .iter()
            .copied()
            .filter(|method| other.methods.contains(method))
            .collect();
        let mut paths: Vec<PathPattern> = Vec::new();
        for (mine, theirs) in self
            .paths
            .iter()
            .flat_map(|a| other.paths.iter().map(move |b| (a, b)))
        {
            let both = if mine.covers(theirs) {
                theirs
            } else if mine.overlaps(theirs) {
                mine
            } else {
                continue;
            };
            if !paths.contains(both) {
                paths.push(both.clone());
            }
        }
        (!methods.is_empty() && !paths.is_empty()).then_some(Self { to, methods, paths })
    }

    /// Exactly what lies in both, as far as it can be written as patterns: what cannot is left out, and never the other
    /// way round. Both name one endpoint.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        if self.to != other.to {
            return None;
        }
        let methods: Vec<Method> = self
            .methods
            .iter()
            .copied()
            .filter(|method| other.methods.contains(method))
            .collect();
        let pairs = self.paths.iter();
        let pairs = pairs.flat_map(|mine| other.paths.iter().map(move |theirs| (mine, theirs)));
        let mut paths: Vec<PathPattern> = Vec::new();
        for both in pairs.filter_map(|(mine, theirs)| mine.meet(theirs)) {
            if !paths.contains(&both) {
                paths.push(both);
            }
        }
        let to = self.to.clone();
        (!methods.is_empty() && !paths.is_empty()).then_some(Self { to, methods, paths })
    }

    /// Whether some request may lie in both. It errs on the side of yes.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.narrowed_by(other).is_some()
    }

    /// Whether the rule plainly names a place of the private network.
    pub(crate) fn names_special(&self) -> bool {
        self.to
            .as_ref()
            .is_some_and(|endpoint| endpoint.host.names_special())
    }
}

impl fmt::Display for NetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&str> = self.methods.iter().map(|method| method.name()).collect();
        write!(f, "{} ", methods.join(", "))?;
        match &self.to {
            Some(endpoint) => endpoint.fmt(f)?,
            None => f.write_str("any host")?,
        }
        if !self.paths.iter().any(PathPattern::is_everything) {
            let paths: Vec<String> = self.paths.iter().map(ToString::to_string).collect();
            write!(f, ", paths {}", paths.join(", "))?;
        }
        Ok(())
    }
}
