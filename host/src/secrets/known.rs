//! Which values are searched for, and how long: those in use, and the last few that each credential had.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Redaction, Secret, tokens::Fetched};
use crate::TenantId;

/// How many values of one part of a credential are searched for, the one in use included. What a tool was answered with the
/// old value may come back a little later; without an end, a host that runs for a year would search for every token that it
/// ever had.
pub(crate) const VALUES_KEPT: usize = 3;
/// How many tenants are kept in mind whose calls have ended. The one that was idle the longest is forgotten first: its values
/// are looked up anew when it comes back.
pub(crate) const IDLE_TENANTS_MAX: usize = 256;

/// The parts that a credential may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// What is put into requests, as a store gave it.
    Value,
    /// What the host fetched to put into requests.
    AccessToken,
    ClientSecret,
    RefreshToken,
}

/// Names a credential within one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) package: String,
    pub(super) name: String,
}

/// The values of one part, the latest last.
type Values = VecDeque<Arc<Secret>>;

/// All tenants of a host. Nothing that one of them has is reached through another.
pub(super) struct Tenants {
    sinks: Redaction,
    all: Mutex<HashMap<Option<TenantId>, Arc<Tenant>>>,
    clock: AtomicU64,
}

/// What is known of one tenant's credentials.
pub(crate) struct Tenant {
    id: Option<TenantId>,
    redaction: Redaction,
    values: Mutex<HashMap<(Slot, Part), Values>>,
    fetched: Mutex<HashMap<Slot, Arc<Fetched>>>,
    told: Mutex<HashSet<Slot>>,
    used: AtomicU64,
}

impl Tenants {
    pub(super) fn new(sinks: Redaction) -> Self {
        Self {
            sinks,
            all: Mutex::default(),
            clock: AtomicU64::new(0),
        }
    }

    pub(super) fn sinks(&self) -> &Redaction {
        &self.sinks
    }

    /// The tenant of a call, which is not forgotten while this is held.
    pub(super) fn of(&self, id: Option<&TenantId>) -> Arc<Tenant> {
        let mut all = lock(&self.all);
        let tenant = all.entry(id.cloned()).or_insert_with(|| {
            Arc::new(Tenant {
                id: id.cloned(),
                redaction: self.sinks.part(),
                values: Mutex::default(),
                fetched: Mutex::default(),
                told: Mutex::default(),
                used: AtomicU64::new(0),
            })
        });
        let tenant = Arc::clone(tenant);
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        tenant.used.store(now, Ordering::Relaxed);
        // Its own entry is one, and whoever holds it is another.
        let idle = all.iter().filter(|(_, it)| Arc::strong_count(it) == 1);
        let mut idle: Vec<_> = idle
            .map(|(id, it)| (it.used.load(Ordering::Relaxed), id.clone()))
            .collect();
        if idle.len() > IDLE_TENANTS_MAX {
            idle.sort_unstable_by_key(|(used, _)| *used);
            let surplus = idle.len().saturating_sub(IDLE_TENANTS_MAX);
            for (_, id) in idle.into_iter().take(surplus) {
                if let Some(forgotten) = all.remove(&id) {
                    self.forget_all(&forgotten);
                }
            }
        }
        tenant
    }

    /// Whether one more value can be searched for. Where there is no room, the tenants are forgotten that were idle longest.
    pub(super) fn make_room(&self, value: &Secret) -> bool {
        let mut all = lock(&self.all);
        while !self.sinks.has_room_for(value) {
            let idle = all.iter().filter(|(_, it)| {
                Arc::strong_count(it) == 1 && lock(&it.values).values().any(|kept| !kept.is_empty())
            });
            let Some(oldest) = idle
                .min_by_key(|(_, it)| it.used.load(Ordering::Relaxed))
                .map(|(id, _)| id.clone())
            else {
                return false;
            };
            if let Some(forgotten) = all.remove(&oldest) {
                self.forget_all(&forgotten);
            }
        }
        true
    }

    fn forget_all(&self, forgotten: &Tenant) {
        for ((slot, _), values) in lock(&forgotten.values).drain() {
            for value in values {
                self.sinks.forget(&slot.name, &value);
            }
        }
    }

    /// Has a value searched for, in what this tenant's tools are answered and in all sinks of the host. Answers with the one
    /// that is searched for, which is another one with the same content where it was known before.
    pub(super) fn learn(
        &self,
        tenant: &Tenant,
        slot: &Slot,
        part: Part,
        value: Secret,
    ) -> Arc<Secret> {
        let mut values = lock(&tenant.values);
        let kept = values.entry((slot.clone(), part)).or_default();
        let known = kept
            .iter()
            .position(|it| it.expose() == value.expose())
            .and_then(|at| kept.remove(at));
        if let Some(known) = known {
            kept.push_back(Arc::clone(&known));
            return known;
        }
        let value = Arc::new(value);
        let searches = [&tenant.redaction, &self.sinks];
        // Before anybody can use it, and before an old one is given up.
        for search in searches {
            search.know(&slot.name, &value);
        }
        kept.push_back(Arc::clone(&value));
        if kept.len() > VALUES_KEPT
            && let Some(gone) = kept.pop_front()
        {
            for search in searches {
                search.forget(&slot.name, &gone);
            }
        }
        value
    }
}

impl Tenant {
    /// Its name, where the embedder told.
    pub(super) fn id(&self) -> Option<&TenantId> {
        self.id.as_ref()
    }

    /// The search for what this tenant has, and for what the embedder registered for all.
    pub(crate) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// What is fetched for a credential.
    pub(super) fn fetched(&self, slot: &Slot) -> Arc<Fetched> {
        Arc::clone(lock(&self.fetched).entry(slot.clone()).or_default())
    }

    /// Whether this is the first time that a credential is told to be absent.
    pub(super) fn tell_once(&self, slot: &Slot) -> bool {
        lock(&self.told).insert(slot.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
