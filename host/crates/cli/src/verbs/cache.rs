//! `toolcell cache stats|clear|path`.

use serde_json::{Value, json};
use toolcell::ErrorKind;
use toolcell_agent::{
    budget::BudgetKind,
    cache::{CacheStats, Counts, ResponseCache},
};
use toolcell_policy::CacheStore;

use crate::{
    app::Outcome,
    args::{CacheVerb, CacheWhich},
    caches::{self, Caches},
    dirs::Dirs,
    exit,
    failure::Failure,
    output, policies,
    style::{self, paint},
};

pub(crate) async fn cache(verb: CacheVerb) -> Outcome {
    match verb {
        CacheVerb::Stats { which } => stats(&which).await,
        CacheVerb::Clear { which } => clear(&which).await,
        CacheVerb::Path { which } => path(&which),
    }
}

/// The stores that a verb is about: the one that is named or configured, else those that every machine has.
fn stores(caches: &Caches<'_>, which: &CacheWhich) -> Result<Vec<CacheStore>, Failure> {
    Ok(match caches.chosen(which.cache.as_deref())? {
        CacheStore::Off => vec![CacheStore::Memory, CacheStore::Disk],
        store => vec![store],
    })
}

async fn open(
    caches: &Caches<'_>,
    store: &CacheStore,
) -> Result<std::sync::Arc<ResponseCache>, Failure> {
    let opened = caches.open(store).await?;
    opened.ok_or_else(|| Failure::new(ErrorKind::Internal, "a store was not opened"))
}

async fn stats(which: &CacheWhich) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&which.policy, &dirs)?;
    let caches = Caches::new(&in_force, &dirs);
    let chosen = caches.chosen(which.cache.as_deref())?;
    let mut all = Vec::new();
    for store in stores(&caches, which)? {
        let cache = open(&caches, &store).await?;
        let stats = cache
            .stats()
            .await
            .map_err(|error| caches::failed(&error))?;
        all.push((cache, stats));
    }
    let value = json!({
        "chosen": name(&chosen),
        "stores": all.iter().map(|(cache, stats)| to_json(cache, stats)).collect::<Vec<_>>(),
    });
    output::answer(value, |_| {
        let mut text = match chosen {
            CacheStore::Off => {
                "answers are not kept here: the policy has no `[cache] store`\n".to_owned()
            }
            _ => String::new(),
        };
        text.extend(all.iter().map(|(cache, stats)| for_people(cache, stats)));
        text
    });
    Ok(exit::OK)
}

fn name(store: &CacheStore) -> &'static str {
    match store {
        CacheStore::Off => "off",
        CacheStore::Memory => "memory",
        CacheStore::Disk => "disk",
        CacheStore::Redis(_) => "redis",
    }
}

fn to_json(cache: &ResponseCache, stats: &CacheStats) -> Value {
    json!({
        "store": cache.store().name(),
        "place": cache.store().place(),
        "entries": entries(cache, stats),
        "bytes": bytes(cache, stats),
        "counts": stats.counts,
        "hit_rate": stats.counts.hit_rate(),
    })
}

/// What is in the memory of another process cannot be told by this one.
fn entries(cache: &ResponseCache, stats: &CacheStats) -> Option<u64> {
    stats
        .holdings
        .entries
        .filter(|_| cache.store().place().is_some())
}

fn bytes(cache: &ResponseCache, stats: &CacheStats) -> Option<u64> {
    stats
        .holdings
        .bytes
        .filter(|_| cache.store().place().is_some())
}

fn for_people(cache: &ResponseCache, stats: &CacheStats) -> String {
    let place = cache
        .store()
        .place()
        .unwrap_or_else(|| "of each process, while it runs".to_owned());
    let mut text = format!(
        "{}  {}\n",
        paint(style::BOLD, format_args!("{:<6}", cache.store().name())),
        paint(style::DIM, place)
    );
    let counts = &stats.counts;
    let held = match (entries(cache, stats), bytes(cache, stats)) {
        (Some(entries), Some(bytes)) => {
            Some(format!("{} in {}", answers(entries), style::size(bytes)))
        }
        (Some(entries), None) => Some(answers(entries)),
        _ => None,
    };
    if let Some(held) = held {
        text.push_str(&format!("  kept    {held}\n"));
    }
    text.push_str(&format!("  looked  {}\n", looked(counts)));
    text.push_str(&format!("  saved   {}\n", saved(counts)));
    if counts.failures > 0 {
        text.push_str(&format!("  failed  {} times\n", counts.failures));
    }
    text
}

fn answers(number: u64) -> String {
    style::count(usize::try_from(number).unwrap_or(usize::MAX), "answer")
}

fn looked(counts: &Counts) -> String {
    let Some(rate) = counts.hit_rate() else {
        return "for nothing yet".to_owned();
    };
    let found = counts.hits.saturating_add(counts.shared);
    let all = found.saturating_add(counts.misses);
    let mut text = format!("found {found} of {all} ({:.1} %)", rate * 100.0);
    if counts.shared > 0 {
        text.push_str(&format!(
            ", {} of them while an identical request was under way",
            counts.shared
        ));
    }
    text
}

/// An amount in US dollars that was saved, and what is not in it.
pub(crate) fn saved(counts: &Counts) -> String {
    let amount = BudgetKind::Cost.show(counts.saved_micro_usd);
    match counts.unpriced {
        0 => amount,
        number => format!("{amount}, and {} of unknown cost", answers(number)),
    }
}

async fn clear(which: &CacheWhich) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&which.policy, &dirs)?;
    let caches = Caches::new(&in_force, &dirs);
    let mut cleared = Vec::new();
    for store in stores(&caches, which)? {
        let cache = open(&caches, &store).await?;
        let removed = cache
            .clear()
            .await
            .map_err(|error| caches::failed(&error))?;
        cleared.push((cache, removed));
    }
    let value: Vec<Value> = cleared
        .iter()
        .map(|(cache, removed)| {
            let store = cache.store();
            json!({ "store": store.name(), "place": store.place(), "removed": removed })
        })
        .collect();
    output::answer(json!({ "stores": value }), |_| {
        let line = |(cache, removed): &(std::sync::Arc<ResponseCache>, u64)| {
            let what = match cache.store().place() {
                Some(place) => format!("{} removed from {place}", answers(*removed)),
                None => "counts removed".to_owned(),
            };
            format!("{:<6}  {what}\n", cache.store().name())
        };
        cleared.iter().map(line).collect()
    });
    Ok(exit::OK)
}

fn path(which: &CacheWhich) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&which.policy, &dirs)?;
    let caches = Caches::new(&in_force, &dirs);
    let mut places = Vec::new();
    for store in stores(&caches, which)? {
        let place = match &store {
            CacheStore::Redis(url) => toolcell_agent::cache::RedisUrl::parse(url)
                .map(|url| url.to_string())
                .unwrap_or_default(),
            CacheStore::Disk => caches.file().display().to_string(),
            CacheStore::Off | CacheStore::Memory => caches.counts().display().to_string(),
        };
        places.push((name(&store), place));
    }
    let value = places
        .iter()
        .map(|(store, place)| json!({ "store": store, "place": place }));
    output::answer(json!({ "stores": value.collect::<Vec<_>>() }), |_| {
        let note = |store: &str| {
            if store == "memory" {
                "  (counts alone)"
            } else {
                ""
            }
        };
        let line =
            |(store, place): &(&str, String)| format!("{store:<6}  {place}{}\n", note(store));
        places.iter().map(line).collect()
    });
    Ok(exit::OK)
}
