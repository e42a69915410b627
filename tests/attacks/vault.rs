//! What attacks on credentials stand on: a store with random values, a host that uses them, and what a guest saw.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio_rustls::rustls::RootCertStore;
use toolcell::{
    CallContext, CallEvent, CallId, Secret, SecretError, SecretQuery, SecretStore, TenantId,
    ToolCall, ToolHost, ToolHostBuilder, ToolResult,
    audit::{AuditRecord, CallRecord},
    testing::{EgressOptions, MemoryAudit, Weakness},
};

use crate::{
    common::guest,
    searcher,
    spy::Names,
    stage::{Run, host, parse},
    wire::{Ask, GOOD, GOOD_ADDRESS, everything_at},
};

/// A value that nobody knows, with characters in it that every encoding does something about.
pub(crate) fn random_value() -> String {
    let letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let letter = || {
        let at = rand::random_range(0..letters.len());
        letters[at..=at].to_owned()
    };
    let part = || (0..12).map(|_| letter()).collect::<String>();
    format!("{}/+&<\"'{}=", part(), part())
}

/// Values by tenant and name.
#[derive(Clone, Default)]
pub(crate) struct Vault(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Vault {
    /// A store with one value, for calls that belong to nobody in particular.
    pub(crate) fn with(name: &str, value: &str) -> Self {
        let vault = Self::default();
        vault.put("", name, value);
        vault
    }

    pub(crate) fn put(&self, tenant: &str, name: &str, value: &str) {
        let key = (tenant.to_owned(), name.to_owned());
        self.0.lock().unwrap().insert(key, value.to_owned());
    }
}

impl SecretStore for Vault {
    async fn get(&self, query: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
        let tenant = query.tenant.map_or("", TenantId::as_str).to_owned();
        let found = self
            .0
            .lock()
            .unwrap()
            .get(&(tenant, query.name.to_owned()))
            .cloned();
        let weak =
            |error: toolcell::WeakSecret| SecretError::new(format!("{}: {error}", query.name));
        found
            .map(|value| Secret::new(value).map_err(weak))
            .transpose()
    }
}

/// A host with credentials, and everything that comes out of it.
pub(crate) struct Keys {
    pub(crate) host: ToolHost,
    pub(crate) names: Arc<Names>,
    pub(crate) audit: MemoryAudit,
    heard: Arc<Mutex<Vec<String>>>,
}

/// A policy for the guest `keys`: where it may go, and how its credentials are bound.
pub(crate) fn bound(rules: &[String], secrets: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("{{ {rule} }}")).collect();
    let secrets: String = secrets.iter().map(|it| format!("secrets.{it}\n")).collect();
    format!(
        "[tool.keys]\nnet = [{}]\n{secrets}\
         limits = {{ time = \"60s\", cpu = \"60s\", requests = 4000, output = \"8MiB\", hostcall = \"64MiB\" }}\n",
        rules.join(", ")
    )
}

/// The secret `KEY` in the usual header of the host at a port.
pub(crate) fn bearer(port: u16) -> String {
    let to = format!("https://{GOOD}:{port}");
    format!(
        "KEY = {{ from = \"vault:KEY\", to = {to:?}, header = \"Authorization: Bearer {{}}\" }}"
    )
}

/// A policy that lets `keys` do everything at the host at a port, with the secret `KEY` in the usual header.
pub(crate) fn usual(port: u16) -> String {
    bound(
        &[everything_at(&format!("https://{GOOD}:{port}"))],
        &[&bearer(port)],
    )
}

/// A host of the run with these weaknesses where the defence is down.
pub(crate) fn weak(run: Run, weaknesses: &[Weakness]) -> ToolHostBuilder {
    let weaknesses = if run.defended { &[] } else { weaknesses };
    let add = |builder: ToolHostBuilder, weakness: &Weakness| builder.weakness(*weakness);
    weaknesses.iter().fold(host(run), add)
}

impl Keys {
    pub(crate) async fn new(
        builder: ToolHostBuilder,
        policy: &str,
        vault: &Vault,
        roots: RootCertStore,
    ) -> Self {
        let names = Names::new();
        names.answer(GOOD, &[&[GOOD_ADDRESS]]);
        let audit = MemoryAudit::default();
        let host = builder
            .policy(parse(policy))
            .secrets(vault.clone())
            .egress(EgressOptions {
                resolver: names.clone(),
                roots: Arc::new(roots),
                ..EgressOptions::default()
            })
            .audit(audit.clone())
            .build()
            .unwrap();
        host.load_file(guest("keys")).await.unwrap();
        Self {
            host,
            names,
            audit,
            heard: Arc::default(),
        }
    }

    /// Has the guest send some requests, and answers what it saw of each.
    pub(crate) async fn send(&self, asks: &[Ask]) -> Vec<Saw> {
        self.send_for("", asks).await.1
    }

    /// The same for a tenant.
    pub(crate) async fn send_for(&self, tenant: &str, asks: &[Ask]) -> (ToolResult, Vec<Saw>) {
        let requests: Vec<&Value> = asks.iter().map(|ask| &ask.0).collect();
        // Under a veil: what the guest saw is what counts, not what was found of it in its answer.
        let plan = json!({ "requests": requests, "veil": true });
        let input = json!({ "plan": plan.to_string() });
        let result = self.call_for(tenant, "keys_keys", input).await;
        let told: Value = serde_json::from_str(&result.text()).unwrap_or_default();
        let saw = told["answers"].as_array().cloned().unwrap_or_default();
        let saw: Vec<Saw> = saw.into_iter().map(Saw).collect();
        assert!(result.is_error() || saw.len() == asks.len(), "{result:?}");
        (result, saw)
    }

    pub(crate) async fn call(&self, tool: &str, input: Value) -> ToolResult {
        self.call_for("", tool, input).await
    }

    pub(crate) async fn call_for(&self, tenant: &str, tool: &str, input: Value) -> ToolResult {
        let heard = self.heard.clone();
        let context = CallContext {
            tenant: (!tenant.is_empty()).then(|| TenantId::new(tenant)),
            events: Some(Arc::new(move |_: &CallId, event: CallEvent| {
                heard.lock().unwrap().push(format!("{event:?}"));
            })),
            ..CallContext::default()
        };
        self.host
            .call_with(ToolCall::new(tool, input), &context)
            .await
            .unwrap()
    }

    /// The records of all calls so far.
    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        let records = self.audit.records().into_iter();
        records
            .filter_map(|it| match it {
                AuditRecord::Call(call) => Some(call),
                _ => None,
            })
            .collect()
    }

    /// How many finds are on record.
    pub(crate) fn audited(&self) -> u64 {
        let records = self.calls();
        records
            .iter()
            .flat_map(|it| &it.redactions)
            .map(|it| it.count)
            .sum()
    }

    /// Everything that was written down or told so far, one text each.
    pub(crate) fn kept(&self) -> Vec<String> {
        let mut kept = self.heard.lock().unwrap().clone();
        kept.extend(self.audit.records().iter().map(|it| format!("{it:?}")));
        kept
    }
}

/// What a guest saw of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Saw(pub(crate) Value);

impl Saw {
    pub(crate) fn status(&self) -> Option<u64> {
        self.0["status"].as_u64()
    }

    pub(crate) fn error(&self) -> &str {
        self.0["error"].as_str().unwrap_or_default()
    }

    /// Whether the guest got nothing, since the answer or the request was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.error().contains("HttpRequestDenied")
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        unveil(&self.0["body"])
    }

    /// Every value of a field of the head.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let fields = self.0["headers"].as_array().into_iter().flatten();
        fields
            .filter(|it| it[0] == name)
            .map(|it| searcher::text(&unveil(&it[1])))
            .collect()
    }

    /// Everything that the guest saw, each part by itself.
    pub(crate) fn everything(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.body(), self.error().as_bytes().to_vec()];
        for part in ["headers", "trailers"] {
            for pair in self.0[part].as_array().into_iter().flatten() {
                all.push(pair[0].as_str().unwrap_or_default().as_bytes().to_vec());
                all.push(unveil(&pair[1]));
            }
        }
        all
    }

    /// Where the guest saw a value, or a longer piece of one.
    pub(crate) fn find(&self, value: &str) -> Option<String> {
        let mut all = self.everything().into_iter();
        all.find_map(|part| searcher::find_any_piece(&part, value))
    }
}

fn unveil(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default().as_bytes();
    let digits = text.chunks(2).filter_map(|it| std::str::from_utf8(it).ok());
    digits
        .filter_map(|it| u8::from_str_radix(it, 16).ok())
        .map(|byte| byte ^ 0x5a)
        .collect()
}
