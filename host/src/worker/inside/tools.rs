//! Calls of other tools, which the host decides on and carries out.

use futures_util::future::BoxFuture;

use super::Link;
use crate::{
    ErrorKind,
    capability::{LimitExceeded, answer::Answer, tools::CallTools},
    worker::wire::{Ask, Reply},
};

pub(super) struct RemoteTools(pub(super) Link);

impl CallTools for RemoteTools {
    fn call<'a>(
        &'a self,
        name: String,
        input: String,
    ) -> BoxFuture<'a, Result<Answer, LimitExceeded>> {
        Box::pin(async move {
            match self.0.ask(Ask::Tool { name, input }).await {
                Some(Reply::Answer(pieces)) => Ok(Ok(pieces.0)),
                Some(Reply::Refused(error)) => Ok(Err(error)),
                Some(Reply::Stop(kind)) => Err(LimitExceeded(kind)),
                Some(_) | None => Err(LimitExceeded(ErrorKind::Internal)),
            }
        })
    }
}
