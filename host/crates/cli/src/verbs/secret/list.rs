//! `toolcell secret list`.

use serde_json::{Value, json};
use toolcell::SecretSource;
use toolcell_policy::{OAuthGrant, SecretGrant, civil_from_days};

use crate::{
    app::Outcome,
    args::PolicyOptions,
    dirs::Dirs,
    exit,
    failure::Failure,
    output,
    policies::{self, InForce},
    stores::{List, Vault},
    style::{self, paint},
};

/// What a secret of a policy is made of: its source, or those of the parts of an OAuth credential.
pub(super) struct Wanted {
    pub(super) package: String,
    pub(super) grant: SecretGrant,
    /// Which part; nothing where there is only one.
    pub(super) part: Option<&'static str>,
    pub(super) source: SecretSource,
}

/// All values that the policy in force wants.
pub(super) fn wanted(in_force: &InForce) -> Vec<Wanted> {
    let mut all = Vec::new();
    for (_, policy) in in_force.layers.iter() {
        for (package, tool) in policy.tools() {
            for grant in tool.given_secrets() {
                for (part, source) in parts(&grant) {
                    all.push(Wanted {
                        package: package.to_owned(),
                        grant: grant.clone(),
                        part,
                        source,
                    });
                }
            }
        }
    }
    all
}

fn parts(grant: &SecretGrant) -> Vec<(Option<&'static str>, SecretSource)> {
    let SecretSource::OAuth(oauth) = &grant.source else {
        return vec![(None, grant.source.clone())];
    };
    let mut parts = Vec::new();
    if let Some(secret) = &oauth.client_secret {
        parts.push((Some("client_secret"), secret.clone()));
    }
    if let OAuthGrant::RefreshToken(token) = &oauth.grant {
        parts.push((Some("refresh_token"), token.clone()));
    }
    parts
}

/// A value that is kept.
struct Kept {
    name: String,
    place: &'static str,
    since: u64,
    used_by: Vec<Value>,
}

pub(super) async fn list(options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    // What is kept can be listed where no policy can be read.
    let wanted = match policies::load(options, &dirs) {
        Ok(in_force) => wanted(&in_force),
        Err(failure) if options.policy.is_some() => return Err(failure),
        Err(_) => Vec::new(),
    };
    let mut all = Vec::new();
    for (name, since) in List::read(&dirs)?.names {
        let source = SecretSource::Keyring(name.clone());
        all.push(kept(name, "keyring", since, &source, &wanted));
    }
    let vault = Vault::new(&dirs);
    if let Some(sealed) = vault.read().map_err(Failure::from)? {
        for (name, since) in vault.header(&sealed)?.names {
            let source = SecretSource::Vault(name.clone());
            all.push(kept(name, "vault", since, &source, &wanted));
        }
    }
    let data: Vec<Value> = all.iter().map(Kept::to_json).collect();
    output::answer(json!({ "secrets": data }), |_| human(&all));
    Ok(exit::OK)
}

fn kept(
    name: String,
    place: &'static str,
    since: u64,
    source: &SecretSource,
    wanted: &[Wanted],
) -> Kept {
    let used = wanted.iter().filter(|it| it.source == *source);
    let used_by = used.map(|it| {
        json!({
            "package": it.package,
            "secret": it.grant.name,
            "rule": it.grant.rule.to_string(),
        })
    });
    Kept {
        name,
        place,
        since,
        used_by: used_by.collect(),
    }
}

impl Kept {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "since": time(self.since),
            "used_by": self.used_by,
        })
    }
}

fn human(all: &[Kept]) -> String {
    if all.is_empty() {
        return "nothing is kept; `toolcell secret set NAME` keeps a value".to_owned();
    }
    let width = all.iter().map(|it| it.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for it in all {
        let packages: Vec<&str> = it
            .used_by
            .iter()
            .filter_map(|by| by.get("package")?.as_str())
            .collect();
        let used = match packages.as_slice() {
            [] => paint(style::DIM, "no tool of the policy in force uses it").to_string(),
            packages => format!("used by {}", packages.join(", ")),
        };
        text.push_str(&format!(
            "{:<width$}  {:<7}  {}  {used}\n",
            it.name,
            it.place,
            time(it.since)
        ));
    }
    text
}

/// In UTC, to the second.
fn time(seconds: u64) -> String {
    let days = seconds / 86_400;
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
