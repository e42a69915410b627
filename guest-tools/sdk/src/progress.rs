//! Progress of a long call, for whoever waits for it.

use crate::bindings::toolcell::tool::progress;

/// Reports that `done` of `total` units are finished; `total` is `None` while it is not known.
/// The host may pass on only some of the reports, so reporting often is cheap.
pub fn report(done: f64, total: Option<f64>, message: Option<&str>) {
    progress::report(done, total, message);
}
