//! Finding a batch that was sent, and of which nobody knows whether it arrived. Sending it once more would do all of it
//! twice, and cost twice.

use std::collections::HashSet;

use super::ticket::Part;
use crate::model::{Batch, BatchStatus, Batches, ModelError, More};

/// Where a part is that may have arrived.
pub(super) enum Found {
    /// There.
    Yes(String),
    /// Nowhere: it did not arrive.
    No,
    /// It may be one of those that are still under way; only their results tell whose they are.
    NotYet,
}

/// Looks through the batches that are newer than the newest one before. A batch says nothing of its requests' ids before
/// it has ended, but how many they are.
pub(super) async fn find(
    batches: &dyn Batches,
    part: &Part,
    newest_before: Option<&str>,
    known: &HashSet<String>,
) -> Result<Found, ModelError> {
    let candidates = batches.newer(newest_before).await?.into_iter();
    let fits =
        |batch: &Batch| !known.contains(&batch.id) && batch.counts.all() == part.tasks.len() as u64;
    let mut found = Found::No;
    for batch in candidates.filter(fits) {
        if batch.status != BatchStatus::Ended {
            found = Found::NotYet;
        } else if is_of(batches, &batch.id, &part.prefix).await? {
            return Ok(Found::Yes(batch.id));
        }
    }
    Ok(found)
}

/// Whether the first result that has an id is of this part.
async fn is_of(batches: &dyn Batches, id: &str, prefix: &str) -> Result<bool, ModelError> {
    let mut ours = false;
    let mut look = |line: crate::model::BatchLine| match line.id {
        None => More::Next,
        Some(id) => {
            ours = id
                .rsplit_once('-')
                .is_some_and(|(begin, _)| begin == prefix);
            More::Enough
        }
    };
    batches.results(id, &mut look).await?;
    Ok(ours)
}

/// Whether an error says that nothing was taken: a refusal does. Whatever else went wrong may have gone wrong on the way
/// back.
pub(super) fn not_taken(error: &ModelError) -> bool {
    match error {
        ModelError::Key(_) | ModelError::Config(_) => true,
        ModelError::Http { status, .. } => {
            (400..500).contains(status) && !matches!(status, 408 | 409 | 499)
        }
        _ => false,
    }
}
