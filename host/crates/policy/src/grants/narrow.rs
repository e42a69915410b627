//! Folds what every layer grants and what the package requests into what is left.

use crate::{
    CallGrant, Effect, EnvGrant, FileAccess, FileGrant, Isolation, Labels, NetGrant, Requests,
    Rule, ScratchGrant, SecretGrant,
    layers::Party,
    policy::{ToolPolicy, WrittenSecret},
};

fn split(parties: &[Party]) -> Option<(&ToolPolicy, Vec<&ToolPolicy>)> {
    let (ceiling, below) = parties.split_first()?;
    let below: Option<Vec<&ToolPolicy>> = below.iter().map(|party| party.tool.as_deref()).collect();
    Some((ceiling.tool.as_deref()?, below?))
}

pub(super) fn files(parties: &[Party], requests: &Requests) -> Vec<FileGrant> {
    let Some((ceiling, below)) = split(parties) else {
        return Vec::new();
    };
    let narrowed = |grant: &FileGrant| {
        let mut left = grant.clone();
        for layer in &below {
            let theirs = layer.files.iter().find(|it| same_directory(it, grant))?;
            if theirs.access < left.access || theirs.approve > left.approve {
                left.rule = theirs.rule.clone();
            }
            left.access = left.access.min(theirs.access);
            left.approve = left.approve.max(theirs.approve);
            left.unlock.retain(|place| theirs.unlock.contains(place));
        }
        left.access = left.access.min(requests.file_access(&left.guest)?);
        (left.approve < Effect::Deny).then_some(left)
    };
    ceiling.files.iter().filter_map(narrowed).collect()
}

pub(super) fn scratch(parties: &[Party], requests: &Requests) -> Option<ScratchGrant> {
    let (ceiling, below) = split(parties)?;
    let mine = ceiling.scratch.as_ref()?;
    let theirs = |layer: &&ToolPolicy| {
        let theirs = layer.scratch.as_ref();
        theirs.is_some_and(|theirs| theirs.guest == mine.guest)
    };
    let wanted = requests.file_access(&mine.guest) >= Some(FileAccess::Write);
    (wanted && below.iter().all(theirs)).then(|| mine.clone())
}

/// Whether two layers mean one directory: the same place on the host, as far as text can tell, at the same place in the
/// guest. A directory inside another does not count: behind a link it could lie anywhere.
pub(crate) fn same_directory(a: &FileGrant, b: &FileGrant) -> bool {
    a.guest == b.guest && host_key(a) == host_key(b)
}

fn host_key(grant: &FileGrant) -> Vec<String> {
    let joined = match &grant.base {
        Some(base) if !grant.host.starts_with('/') => format!("{base}/{}", grant.host),
        _ => grant.host.clone(),
    };
    let root = joined.starts_with('/').then(|| "/".to_owned());
    let segments = joined
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."));
    root.into_iter()
        .chain(segments.map(str::to_owned))
        .collect()
}

/// What may be sent, for showing. Whether special addresses may be dialled is decided by what the policies write alone:
/// neither a request nor a lower layer can turn a wildcard into a name.
pub(super) fn net(parties: &[Party], requests: &Requests) -> Vec<NetGrant> {
    let Some((ceiling, below)) = split(parties) else {
        return Vec::new();
    };
    let granting = |grant: &&NetGrant| grant.approve < Effect::Deny;
    let mut left: Vec<NetGrant> = ceiling.net.iter().filter(granting).cloned().collect();
    for layer in below {
        let theirs: Vec<NetGrant> = layer.net.iter().filter(granting).cloned().collect();
        left = pairs(&left, &theirs)
            .filter_map(|(mine, theirs)| {
                let stricter = if theirs.approve > mine.approve {
                    theirs
                } else {
                    mine
                };
                Some(NetGrant {
                    scope: mine.scope.narrowed_by(&theirs.scope)?,
                    approve: stricter.approve,
                    redirects: mine.redirects.min(theirs.redirects),
                    rule: stricter.rule.clone(),
                    special: mine.special && theirs.special,
                })
            })
            .fold(Vec::new(), push_new);
    }
    pairs(&left, &requests.net)
        .filter_map(|(grant, request)| {
            Some(NetGrant {
                scope: grant.scope.narrowed_by(&request.scope)?,
                ..grant.clone()
            })
        })
        .fold(Vec::new(), push_new)
}

fn pairs<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter()
        .flat_map(move |mine| b.iter().map(move |theirs| (mine, theirs)))
}

/// Shows no grant twice, and at most as many as anybody would read: what is checked does not depend on this list.
fn push_new(mut list: Vec<NetGrant>, grant: NetGrant) -> Vec<NetGrant> {
    const MAX_SHOWN: usize = 256;
    let known = list.iter().any(|it| {
        it.approve == grant.approve
            && it.special >= grant.special
            && it.redirects >= grant.redirects
            && it.scope.covers(&grant.scope)
    });
    if !known && list.len() < MAX_SHOWN {
        list.push(grant);
    }
    list
}

pub(super) fn env(parties: &[Party], requests: &Requests) -> Vec<EnvGrant> {
    let Some((ceiling, below)) = split(parties) else {
        return Vec::new();
    };
    let granted = |grant: &&EnvGrant| {
        requests
            .env
            .iter()
            .any(|request| request.name == grant.name)
            && below
                .iter()
                .all(|layer| layer.env.iter().any(|it| it.name == grant.name))
    };
    ceiling.env.iter().filter(granted).cloned().collect()
}

/// The highest layer says where a value comes from and where it is put; every layer below must name the secret for the
/// same destination, and narrows methods and paths.
pub(super) fn secrets(parties: &[Party], requests: &Requests) -> Vec<SecretGrant> {
    let Some((ceiling, below)) = split(parties) else {
        return Vec::new();
    };
    let granted = |mine: &WrittenSecret| {
        let (source, place) = mine.given.clone()?;
        let mut scope = mine.scope.clone();
        for layer in &below {
            let theirs = layer.secrets.iter().find(|it| it.name == mine.name)?;
            scope = scope.meet(&theirs.scope)?;
        }
        requests
            .cover_secret(&mine.name, scope.to.as_ref())
            .then(|| SecretGrant {
                name: mine.name.clone(),
                source,
                scope,
                place,
                rule: mine.rule.clone(),
            })
    };
    ceiling.secrets.iter().filter_map(granted).collect()
}

/// What any layer says that the tool does with data.
pub(super) fn labels(parties: &[Party], tool: &str) -> Labels {
    let said = parties.iter().filter_map(|party| party.tool.as_ref());
    said.fold(Labels::default(), |all, it| all.union(it.labels(tool)))
}

/// Any layer may ask for the stronger kind. Only the highest may choose the weaker one, since a host's default may be
/// the stronger.
pub(super) fn isolation(parties: &[Party]) -> Option<(Isolation, Rule)> {
    let written = |party: &Party| party.tool.as_ref().and_then(|tool| tool.isolation.clone());
    let process = parties
        .iter()
        .filter_map(written)
        .find(|(isolation, _)| *isolation == Isolation::Process);
    process.or_else(|| written(parties.first()?))
}

pub(super) fn calls(parties: &[Party], requests: &Requests) -> Vec<CallGrant> {
    let Some((ceiling, below)) = split(parties) else {
        return Vec::new();
    };
    let granted = |grant: &&CallGrant| {
        requests.cover_call(&grant.tool)
            && below
                .iter()
                .all(|layer| layer.calls.iter().any(|it| it.tool == grant.tool))
    };
    ceiling.calls.iter().filter(granted).cloned().collect()
}
