//! Questions that a call has while it runs.

use futures_util::future::BoxFuture;
use toolcell_policy::{Access, Rule};

/// Asks somebody who may say yes.
pub(crate) trait Ask: Send + Sync {
    /// Why an access whose rule says `ask`, for example `GET https://example.com/`, may not happen; nothing where it may.
    fn ask<'a>(&'a self, access: &'a str, rule: &'a Rule) -> BoxFuture<'a, Option<&'static str>>;

    /// Hears of an access that is being decided on. Where nothing but a line of the policy is missing for it, a host that
    /// learns asks, and after a yes it may happen all the same; any other host says no.
    fn learn(&self, access: Access, lacks_a_line: bool) -> BoxFuture<'_, bool>;
}
