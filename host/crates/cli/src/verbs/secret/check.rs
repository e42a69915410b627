//! `toolcell secret check`.

use serde_json::{Value, json};
use toolcell::ErrorKind;

use super::list::{Wanted, wanted};
use crate::{
    app::Outcome,
    args::PolicyOptions,
    dirs::Dirs,
    exit,
    failure::Failure,
    output, policies,
    stores::{Stores, Trouble, What},
    style::{self, paint},
};

/// How one value was found.
struct Found {
    wanted: Wanted,
    trouble: Option<Trouble>,
}

pub(super) async fn check(options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(options, &dirs)?;
    let stores = Stores::new(&dirs);
    let mut all = Vec::new();
    for wanted in wanted(&in_force) {
        let trouble = match stores.value(&wanted.source).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(missing(&wanted)),
            Err(trouble) if trouble.what == What::Interrupted => return Err(trouble.into()),
            Err(trouble) => Some(trouble),
        };
        all.push(Found { wanted, trouble });
    }
    let failed = all.iter().filter(|it| it.trouble.is_some()).count();
    let secrets: Vec<Value> = all.iter().map(Found::to_json).collect();
    let value = json!({ "secrets": secrets, "failed": failed });
    if failed == 0 {
        output::answer(value, |_| human(&all));
        return Ok(exit::OK);
    }
    if !output::json() {
        output::piece(&human(&all));
    }
    let message = format!(
        "{} of {} cannot be used",
        failed,
        style::count(all.len(), "secret")
    );
    Err(Failure::check(ErrorKind::AuthRequired, message).data(value))
}

fn missing(wanted: &Wanted) -> Trouble {
    use toolcell::SecretSource as S;
    let help = match &wanted.source {
        S::Env(name) => format!("set the variable {name} where toolcell is started"),
        S::File { path, .. } => format!("create the file {path} with mode 0600"),
        S::Keyring(name) => format!("`toolcell secret set {name} --in keyring`"),
        S::Vault(name) => format!("`toolcell secret set {name} --in vault`"),
        _ => String::new(),
    };
    Trouble::new(
        What::Missing,
        "it has no value, so requests go without it",
        help,
    )
}

impl Found {
    fn word(&self) -> &'static str {
        self.trouble
            .as_ref()
            .map_or("found", |trouble| trouble.what.word())
    }

    fn to_json(&self) -> Value {
        let Wanted {
            package,
            grant,
            part,
            source,
        } = &self.wanted;
        json!({
            "package": package,
            "name": grant.name,
            "part": part,
            "from": source.to_string(),
            "status": self.word(),
            "why": self.trouble.as_ref().map(|trouble| &trouble.message),
            "help": self.trouble.as_ref().map(|trouble| &trouble.help),
            "rule": grant.rule.to_string(),
        })
    }
}

fn human(all: &[Found]) -> String {
    if all.is_empty() {
        return "the policy in force has no secrets".to_owned();
    }
    let mut text = String::new();
    for found in all {
        let Wanted {
            package,
            grant,
            part,
            source,
        } = &found.wanted;
        let mark = match found.trouble {
            None => paint(style::GOOD, "✓"),
            Some(_) => paint(style::BAD, "✗"),
        };
        let part = part.map_or(String::new(), |part| format!(" ({part})"));
        let what = format!("{package} {}{part} from {source}", grant.name);
        text.push_str(&format!(
            "{mark} {}: {}\n",
            style::one_line(&what, 120),
            found.word().replace('_', " ")
        ));
        if let Some(trouble) = &found.trouble {
            text.push_str(&format!("    {}\n", style::one_line(&trouble.message, 300)));
            let help = paint(style::DIM, style::one_line(&trouble.help, 400));
            text.push_str(&format!("    {help}\n"));
            let rule = paint(style::DIM, style::one_line(&grant.rule.to_string(), 200));
            text.push_str(&format!("    {rule}\n"));
        }
    }
    text
}
