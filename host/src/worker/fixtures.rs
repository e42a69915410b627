//! Setups for the tests of both sides.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use toolcell_policy::GrantSet;

use crate::{
    CallEvent, CallId, Content, EventSink, ToolResult, Usage,
    capability::{
        files::{FileRoots, RootRules},
        fixtures::granted,
        recorder::Recorder,
        tools::{Callee, Nesting},
    },
    egress::{
        Egress,
        testing::{Names, egress},
    },
    sandbox::Setup,
};

/// Longer than any test should take.
pub(super) const PLENTY: Duration = Duration::from_secs(20);

/// Echoes what it is called with.
pub(super) struct Echo;

impl Callee for Echo {
    fn call(
        &self,
        name: String,
        input: Value,
        _: Nesting,
    ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + '_>> {
        Box::pin(async move {
            ToolResult {
                call_id: CallId::random(),
                content: vec![Content::text(format!("{name} {input}"))],
                tool: name,
                structured: None,
                failure: None,
                usage: Usage::default(),
                denials: Vec::new(),
                redactions: std::collections::BTreeMap::new(),
                pending: None,
            }
        })
    }
}

/// Never comes back.
pub(super) struct Never;

impl Callee for Never {
    fn call(
        &self,
        _: String,
        _: Value,
        _: Nesting,
    ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// What a call told whoever waited for it.
pub(super) type Heard = Arc<Mutex<Vec<CallEvent>>>;

pub(super) fn listening() -> (Recorder, Heard) {
    let heard = Heard::default();
    let sink = Arc::clone(&heard);
    let events: EventSink = Arc::new(move |_, event| sink.lock().unwrap().push(event));
    (Recorder::new(CallId::new("call_1"), Some(events)), heard)
}

/// The grants of a table `[tool.t]`, whose package asks for everything.
pub(super) fn grants(tool: &str) -> GrantSet {
    granted(
        tool,
        r#"
        files = [{ access = "write", why = "a test" }]
        net = [{ to = "any", methods = ["GET", "POST"], paths = ["/**"], why = "a test" }]
        calls = ["time_now"]"#,
    )
}

pub(super) fn setup(tool: &str, base: &Path, time: Duration) -> Setup {
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    let roots = tokio_rustls::rustls::RootCertStore::empty();
    with_egress(tool, base, time, egress(Arc::new(names), roots))
}

fn with_egress(tool: &str, base: &Path, time: Duration, egress: Egress) -> Setup {
    let roots = FileRoots::open(&grants(tool), base, &RootRules::default()).unwrap();
    Setup {
        roots: Arc::new(roots),
        tenant: None,
        egress: Arc::new(egress),
        deadline: Instant::now() + time,
        secrets: crate::secrets::CallSecrets::none(),
        out_of_time: "too late".to_owned(),
        recorder: Recorder::new(CallId::new("call_1"), None),
        asker: None,
        callee: Arc::new(Echo),
        nesting: Nesting::top(),
    }
}
