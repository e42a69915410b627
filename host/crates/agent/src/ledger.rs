//! Budgets that outlive a run: what an agent or a tenant may spend in a day, in a month, or ever.
//!
//! A request's worst case is reserved before it is sent, and what it really used is settled afterwards. Whatever is
//! reserved counts as spent until then, so several runs and processes that share a budget cannot pass it together. A
//! reservation that nobody settled in its time, since its process was killed, stays spent: the request may have been
//! sent.

mod book;
mod file;
mod memory;
mod purse;

use std::{path::PathBuf, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use file::FileLedger;
pub use memory::MemoryLedger;
pub(crate) use purse::Purse;
pub use purse::Shared;

use crate::budget::{Allowance, Amount, Exceeded, Period, Scope, ScopeKind};

/// Something that was reserved and is to be settled. It can be kept in a file, and settled by a later process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "what is not settled stays spent"]
pub struct Reservation {
    /// Out of whose budget.
    pub scope: Scope,
    /// How much.
    pub amount: Amount,
    pub(crate) id: String,
    /// From then on it counts as spent, in milliseconds since 1970.
    pub(crate) until_ms: u64,
}

/// What a scope has spent in the period that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// For which time.
    pub per: Period,
    /// Which day (`2026-11-21`) or month (`2026-11`); empty for [`Period::Ever`].
    pub period: String,
    /// When it ends, in milliseconds since 1970; never for [`Period::Ever`].
    pub ends_ms: Option<u64>,
    /// What was spent, and what was reserved and never settled in its time.
    pub spent: Amount,
    /// What is reserved now.
    pub reserved: Amount,
}

/// Why a ledger cannot be used, or says no.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// There is no room in a budget.
    #[error(transparent)]
    Exceeded(#[from] Box<Exceeded>),
    /// The name cannot be one.
    #[error("`{name}` is no name of an {kind}: {why}", kind = .kind.name())]
    Name {
        /// Of what.
        kind: ScopeKind,
        /// The name, made safe to show.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file cannot be read or written.
    #[error("ledger {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no ledger. It is left as it is.
    #[error("ledger {path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process keeps the file locked.
    #[error("ledger {path} was locked by another process for {} s", .after.as_secs())]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        after: Duration,
    },
    /// More requests are under way than one scope may have.
    #[error("{scope} has {limit} requests under way already")]
    Full {
        /// Whose.
        scope: Scope,
        /// The most.
        limit: usize,
    },
}

/// Whether a book can be kept under the name.
fn check(scope: &Scope) -> Result<(), LedgerError> {
    let why = if scope.name.is_empty() {
        "it is empty"
    } else if scope.name.len() > Scope::MAX_NAME_BYTES {
        "it has more than 128 bytes"
    } else if scope.name.chars().any(char::is_control) {
        "it holds a control character"
    } else {
        return Ok(());
    };
    Err(wrong_name(scope, why))
}

fn wrong_name(scope: &Scope, why: &'static str) -> LedgerError {
    LedgerError::Name {
        kind: scope.kind,
        name: toolcell::text::escape_control(&scope.name).into_owned(),
        why,
    }
}

/// A moment so much later, in milliseconds.
fn after(now_ms: u64, lasts: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX))
}

/// Tells the time of day. The library never looks at a clock by itself.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn unix_ms(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn unix_ms(&self) -> u64 {
        self()
    }
}

/// Keeps what was spent.
pub trait Ledger: Send + Sync {
    /// Takes `amount` out of a budget, if all of these allowances have room for it. It is to be settled within `lasts`;
    /// from then on it counts as spent.
    ///
    /// # Errors
    /// [`LedgerError::Exceeded`] when there is no room; nothing is reserved then. The others when the ledger cannot be
    /// used.
    fn reserve<'a>(
        &'a self,
        scope: &'a Scope,
        allowances: &'a [Allowance],
        amount: Amount,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Reservation, LedgerError>>;

    /// Puts what was really spent in the place of a reservation. One that ran out before counts in full, and stays so.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be used; the reservation then counts as spent.
    fn settle<'a>(
        &'a self,
        reservation: &'a Reservation,
        spent: Amount,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// What a scope has spent and reserved, for each [`Period`].
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be used.
    fn standing<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Standing>, LedgerError>>;
}

#[cfg(test)]
mod tests;
