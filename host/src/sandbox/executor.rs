//! Where a tool's calls run: in this process, or in workers. A caller cannot tell the two apart but by their names.

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use toolcell_policy::Isolation;

use super::{Finished, Prepared, Setup, run};
use crate::Content;

/// Carries out the calls of one package's tools.
pub(crate) trait Executor: Send + Sync {
    /// Runs a tool once. Dropping the future ends the guest at once. `tool` is the tool's name in the manifest, `input`
    /// is JSON text.
    fn run<'a>(
        &'a self,
        setup: Setup,
        tool: &'a str,
        input: String,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Finished<Vec<Content>>>;

    /// Which kind it is.
    fn isolation(&self) -> Isolation;
}

/// In the host's own process.
impl Executor for Prepared {
    fn run<'a>(
        &'a self,
        setup: Setup,
        tool: &'a str,
        input: String,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Finished<Vec<Content>>> {
        Box::pin(run(self, setup, tool, input, cancel))
    }

    fn isolation(&self) -> Isolation {
        Isolation::Thread
    }
}
