//! Requests: exact hosts, the methods and paths that were used.

use url::Url;

use crate::{Endpoint, Method, NetScope, PathPattern, access::MAX_LIST, net::RequestPath};

/// The rules that allow exactly these requests. Paths with the same methods stand in one rule.
pub(super) fn rules<'a>(
    requests: impl Iterator<Item = (Method, &'a Url)>,
    package: &str,
    notes: &mut Vec<String>,
) -> Vec<NetScope> {
    let mut places: Vec<Place> = Vec::new();
    for (method, url) in requests {
        let (Some(to), Some(path)) = (endpoint(url), literal(url)) else {
            notes.push(format!(
                "{package}: {method} {url} cannot be written as a rule that means only this"
            ));
            continue;
        };
        match places.iter_mut().find(|it| it.to == to && it.path == path) {
            Some(place) if place.methods.contains(&method) => {}
            Some(place) => place.methods.push(method),
            None => places.push(Place {
                to,
                path,
                methods: vec![method],
            }),
        }
    }
    let mut rules: Vec<NetScope> = Vec::new();
    for mut place in places {
        place.methods.sort_unstable();
        let same = |rule: &&mut NetScope| {
            rule.to.as_ref() == Some(&place.to)
                && rule.methods == place.methods
                && rule.paths.len() < MAX_LIST
        };
        match rules.iter_mut().find(same) {
            Some(rule) => rule.paths.push(place.path),
            None => rules.push(NetScope {
                to: Some(place.to),
                methods: place.methods,
                paths: vec![place.path],
            }),
        }
    }
    rules
}

/// One path of one server, and how it was used.
struct Place {
    to: Endpoint,
    path: PathPattern,
    methods: Vec<Method>,
}

fn endpoint(url: &Url) -> Option<Endpoint> {
    Endpoint::parse(&url.origin().ascii_serialization()).ok()
}

/// The pattern that matches this path alone; nothing where its characters would mean more than themselves.
fn literal(url: &Url) -> Option<PathPattern> {
    let decoded = RequestPath::of(url).ok()?;
    let segments: Option<Vec<&str>> = decoded
        .readings()
        .next()?
        .iter()
        .map(|segment| std::str::from_utf8(segment).ok())
        .collect();
    let path = format!("/{}", segments?.join("/"));
    if path.contains('*') {
        return None;
    }
    PathPattern::parse(&path).ok()
}
