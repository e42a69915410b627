//! Whether a call did anything that cannot be undone by making it again from its beginning.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether something outside was changed: a request was sent, or a file written. It is set before that happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects(Arc<AtomicBool>);

impl Effects {
    /// Something is about to change.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether something was, or is about to be.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
