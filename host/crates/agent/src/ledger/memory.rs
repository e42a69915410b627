//! A ledger in memory: what was spent is forgotten with the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{Clock, Ledger, LedgerError, Reservation, Standing, book::Book};
use crate::budget::{Allowance, Amount, Scope};

/// A ledger that all runs of a process can share.
pub struct MemoryLedger {
    books: Mutex<HashMap<Scope, Book>>,
    clock: Arc<dyn Clock>,
}

impl MemoryLedger {
    /// A ledger in which nothing was spent.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            books: Mutex::default(),
            clock,
        }
    }

    fn with<T>(&self, scope: &Scope, change: impl FnOnce(&mut Book, u64) -> T) -> T {
        let now_ms = self.clock.unix_ms();
        // A book is never left half changed, whatever happened to a thread that held it.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books
            .entry(scope.clone())
            .or_insert_with(|| Book::new(scope.clone()));
        change(book, now_ms)
    }
}

impl Ledger for MemoryLedger {
    fn reserve<'a>(
        &'a self,
        scope: &'a Scope,
        allowances: &'a [Allowance],
        amount: Amount,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Reservation, LedgerError>> {
        Box::pin(async move {
            super::check(scope)?;
            self.with(scope, |book, now_ms| {
                book.reserve(allowances, amount, now_ms, super::after(now_ms, lasts))
            })
        })
    }

    fn settle<'a>(
        &'a self,
        reservation: &'a Reservation,
        spent: Amount,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            self.with(&reservation.scope, |book, now_ms| {
                book.settle(reservation, spent, now_ms);
            });
            Ok(())
        })
    }

    fn standing<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Standing>, LedgerError>> {
        Box::pin(async move { Ok(self.with(scope, Book::standing)) })
    }
}
