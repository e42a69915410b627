//! `toolcell models`.

mod check;
mod list;

use crate::{app::Outcome, args::ModelsVerb};

pub(crate) async fn models(verb: ModelsVerb) -> Outcome {
    match verb {
        ModelsVerb::List {
            online,
            catalog,
            policy,
        } => list::list(online, &catalog, &policy).await,
        ModelsVerb::Check { models, policy } => check::check(&models, &policy).await,
    }
}
