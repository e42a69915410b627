//! What all agents of a process share: one lane and one breaker for each model that is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{BreakerSettings, LimitSettings, RealTimer, Timer, breaker::Breaker, lane::Lane};
use crate::{metrics::Metrics, model::ModelProvider};

/// How many models of how many accounts are kept in mind at one time. Of more, those that nobody uses are forgotten.
const MAX_LANES: usize = 1_000;

/// The limits and breakers of a process. Copies are one and the same, and everything that is to be counted together
/// must use the same.
#[derive(Clone)]
pub struct Lanes(Arc<Shared>);

struct Shared {
    limits: LimitSettings,
    breaker: BreakerSettings,
    metrics: Metrics,
    timer: Arc<dyn Timer>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    lanes: HashMap<Key, Arc<Lane>>,
    breakers: HashMap<Key, Arc<Breaker>>,
}

/// A limit is kept by the server for one account and model, so the account belongs to a lane's key; a breaker's is empty
/// there.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    place: String,
    payer: String,
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new(LimitSettings::default(), BreakerSettings::default())
    }
}

impl Lanes {
    /// Lanes with these limits, each of them.
    pub fn new(limits: LimitSettings, breaker: BreakerSettings) -> Self {
        Self(Arc::new(Shared {
            limits,
            breaker,
            metrics: Metrics::none(),
            timer: Arc::new(RealTimer),
            known: Mutex::default(),
        }))
    }

    /// The same, empty, whose figures go to `metrics`.
    #[must_use]
    pub fn metrics(self, metrics: Metrics) -> Self {
        self.with(|shared| shared.metrics = metrics)
    }

    /// The same, empty, which wait as `timer` says.
    #[must_use]
    pub fn timer(self, timer: Arc<dyn Timer>) -> Self {
        self.with(|shared| shared.timer = timer)
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared {
            limits: self.0.limits,
            breaker: self.0.breaker,
            metrics: self.0.metrics.clone(),
            timer: Arc::clone(&self.0.timer),
            known: Mutex::default(),
        };
        change(&mut shared);
        Self(Arc::new(shared))
    }

    pub(super) fn clock(&self) -> Arc<dyn Timer> {
        Arc::clone(&self.0.timer)
    }

    pub(super) fn figures(&self) -> Metrics {
        self.0.metrics.clone()
    }

    /// The lane and the breaker of a model.
    pub(super) fn of(&self, model: &dyn ModelProvider) -> (Arc<Lane>, Arc<Breaker>) {
        let shared = &self.0;
        let account = model.account();
        let lane = Key {
            name: super::super::name(model),
            place: account.place,
            payer: account.payer,
        };
        let breaker = Key {
            payer: String::new(),
            ..lane.clone()
        };
        // A visit that broke off has left nothing half done.
        let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.lanes.len() >= MAX_LANES {
            known.lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
            known.breakers.retain(|_, it| Arc::strong_count(it) > 1);
        }
        let timer = || Arc::clone(&shared.timer);
        let lane = known
            .lanes
            .entry(lane)
            .or_insert_with(|| Lane::new(shared.limits, timer()));
        let lane = Arc::clone(lane);
        let breaker = known
            .breakers
            .entry(breaker)
            .or_insert_with(|| Breaker::new(shared.breaker, timer()));
        (lane, Arc::clone(breaker))
    }
}
