//! `toolcell serve --stdio`.

use toolcell::ErrorKind;

use crate::{
    app::Outcome, args::ServeArgs, dirs::Dirs, exit, failure::Failure, hosts, interrupt, policies,
    telemetry,
};

pub(crate) async fn serve(arguments: ServeArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&arguments.policy, &dirs)?;
    telemetry::start(&arguments.telemetry, &in_force, &dirs).await?;
    let host = hosts::open(&in_force, &dirs, arguments.workers).await?;
    hosts::note_if_empty(&host);
    let options = toolcell_mcp::Options {
        answer_wait: Some(in_force.layers.approvals().wait()),
        ..toolcell_mcp::Options::default()
    };
    let stop = interrupt::token();
    tokio::select! {
        served = toolcell_mcp::serve_stdio(host, options) => {
            served.map_err(|error| {
                Failure::new(ErrorKind::InvalidInput, error.to_string())
                    .help("`serve --stdio` is started by an MCP client, which speaks to it on standard input and output")
            })?;
            Ok(exit::OK)
        }
        () = stop.cancelled() => Ok(exit::INTERRUPTED),
    }
}
