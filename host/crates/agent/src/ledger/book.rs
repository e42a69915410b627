//! The book of one scope: pure arithmetic, so that every ledger keeps it in the same way.

use serde::{Deserialize, Serialize};
use toolcell_policy::civil_from_days;

use super::{LedgerError, Reservation, Standing};
use crate::budget::{Allowance, Amount, Period, Scope};

/// The form of a book.
const FORMAT: u32 = 1;
/// The most reservations of one scope that are under way at a time.
pub(crate) const MAX_HELD: usize = 1_000;
const DAY_MS: u64 = 86_400_000;

/// What one scope has spent. Every period is kept, whichever of them has a budget: a budget for a month that is written
/// in the middle of it knows of the days before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Book {
    format: u32,
    scope: Scope,
    day: Page,
    month: Page,
    ever: Page,
    held: Vec<Held>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Its day or month; empty for ever.
    period: String,
    spent: Amount,
}

/// A reservation that is not settled. It belongs to the day and the month in which it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    id: String,
    until_ms: u64,
    day: String,
    month: String,
    amount: Amount,
}

impl Held {
    /// The page that it belongs to, of those for such a period.
    fn period(&self, per: Period) -> &str {
        match per {
            Period::Day => &self.day,
            Period::Month => &self.month,
            Period::Ever => "",
        }
    }
}

impl Book {
    /// A book of somebody who has spent nothing.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            format: FORMAT,
            scope,
            day: Page::default(),
            month: Page::default(),
            ever: Page::default(),
            held: Vec::new(),
        }
    }

    /// Reads a book, and says what is wrong with one that cannot be that of this scope.
    pub(crate) fn read(bytes: &[u8], scope: &Scope) -> Result<Self, String> {
        let book: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if book.format != FORMAT {
            let message = format!("its format is {}; this version reads {FORMAT}", book.format);
            return Err(message);
        }
        if book.scope != *scope {
            return Err(format!("it belongs to {}", book.scope));
        }
        Ok(book)
    }

    /// Reserves an amount, or says which budget has no room for it.
    pub(crate) fn reserve(
        &mut self,
        allowances: &[Allowance],
        amount: Amount,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Reservation, LedgerError> {
        self.turn_pages(now_ms);
        for allowance in allowances {
            let (spent, reserved) = (self.page(allowance.per).spent, self.reserved(allowance.per));
            allowance.room(Some(&self.scope), &spent, &reserved, &amount)?;
        }
        if self.held.len() >= MAX_HELD {
            return Err(LedgerError::Full {
                scope: self.scope.clone(),
                limit: MAX_HELD,
            });
        }
        let id = format!("h{:032x}", rand::random::<u128>());
        self.held.push(Held {
            id: id.clone(),
            until_ms,
            day: self.day.period.clone(),
            month: self.month.period.clone(),
            amount,
        });
        Ok(Reservation {
            scope: self.scope.clone(),
            amount,
            id,
            until_ms,
        })
    }

    /// Puts what was spent in the place of a reservation.
    pub(crate) fn settle(&mut self, reservation: &Reservation, spent: Amount, now_ms: u64) {
        self.turn_pages(now_ms);
        let at = self.held.iter().position(|held| held.id == reservation.id);
        match at {
            Some(at) => {
                let held = self.held.remove(at);
                self.add(&held, &spent);
            }
            // It ran out and was counted in full.
            None if reservation.until_ms <= now_ms => {}
            // Somebody removed the book meanwhile. What was spent was spent all the same.
            None => {
                for page in [&mut self.day, &mut self.month, &mut self.ever] {
                    page.spent = page.spent.plus(&spent);
                }
            }
        }
    }

    /// Forgets what was spent. What is reserved stays so: its requests are under way.
    pub(crate) fn reset(&mut self, now_ms: u64) {
        self.turn_pages(now_ms);
        for page in [&mut self.day, &mut self.month, &mut self.ever] {
            page.spent = Amount::default();
        }
    }

    /// What was spent and is reserved.
    pub(crate) fn standing(&mut self, now_ms: u64) -> Vec<Standing> {
        self.turn_pages(now_ms);
        let one = |per| {
            let page = self.page(per);
            Standing {
                per,
                period: page.period.clone(),
                ends_ms: end_ms(per, now_ms),
                spent: page.spent,
                reserved: self.reserved(per),
            }
        };
        Period::ALL.map(one).into()
    }

    /// Begins new pages for a new day or month, and counts what ran out as spent. A clock that goes back turns no page:
    /// what was spent would be free a second time.
    fn turn_pages(&mut self, now_ms: u64) {
        let (day, month) = day_and_month(now_ms);
        for (page, now) in [(&mut self.day, day), (&mut self.month, month)] {
            if now > page.period {
                *page = Page {
                    period: now,
                    spent: Amount::default(),
                };
            }
        }
        let (over, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held: &Held| held.until_ms <= now_ms);
        self.held = held;
        for held in over {
            let amount = held.amount;
            self.add(&held, &amount);
        }
    }

    /// Adds to the pages that a reservation was made on, as far as they are still open.
    fn add(&mut self, held: &Held, spent: &Amount) {
        for per in Period::ALL {
            let page = match per {
                Period::Day => &mut self.day,
                Period::Month => &mut self.month,
                Period::Ever => &mut self.ever,
            };
            if page.period == held.period(per) {
                page.spent = page.spent.plus(spent);
            }
        }
    }

    fn page(&self, per: Period) -> &Page {
        match per {
            Period::Day => &self.day,
            Period::Month => &self.month,
            Period::Ever => &self.ever,
        }
    }

    fn reserved(&self, per: Period) -> Amount {
        let page = self.page(per);
        self.held
            .iter()
            .filter(|held| held.period(per) == page.period)
            .fold(Amount::default(), |sum, held| sum.plus(&held.amount))
    }
}

/// The day and the month of a moment, in UTC; texts that sort like time.
fn day_and_month(unix_ms: u64) -> (String, String) {
    let (year, month, day) = civil_from_days(unix_ms / DAY_MS);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{year:04}-{month:02}"),
    )
}

/// When the period of a moment ends, in milliseconds since 1970; never for [`Period::Ever`].
fn end_ms(per: Period, unix_ms: u64) -> Option<u64> {
    let today = unix_ms / DAY_MS;
    let (_, month, _) = civil_from_days(today);
    let days = match per {
        Period::Ever => return None,
        Period::Day => 1,
        Period::Month => (1..=31)
            .find(|days| civil_from_days(today.saturating_add(*days)).1 != month)
            .unwrap_or(31),
    };
    today.checked_add(days)?.checked_mul(DAY_MS)
}
