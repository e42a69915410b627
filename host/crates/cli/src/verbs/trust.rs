//! `toolcell trust [FILE]`.

use std::{fs, io, path::PathBuf};

use serde_json::json;
use toolcell::ErrorKind;
use toolcell_policy::Policy;

use crate::{
    app::Outcome,
    args::TrustArgs,
    describe,
    dirs::Dirs,
    exit,
    failure::Failure,
    output, policies, prompt,
    style::{self, paint},
    trusted::{Trust, Trusted},
};

pub(crate) fn trust(arguments: &TrustArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let path = file(arguments)?;
    let list = dirs.trusted();
    let mut trusted = Trusted::read(&list)?;
    if arguments.revoke {
        let was = trusted.remove(&path);
        trusted.write(&list)?;
        let value =
            json!({ "file": path.display().to_string(), "trusted": false, "was_trusted": was });
        output::answer(value, |_| {
            let what = if was {
                "is no longer trusted"
            } else {
                "was not trusted"
            };
            format!("{} {what}", path.display())
        });
        return Ok(exit::OK);
    }
    let content = policies::read_content(&path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let policy = policies::parse(&path, &name, &content)?;
    let before = trusted.check(&path, &content);
    if before != Trust::Trusted {
        if !output::json() {
            output::note(plain_words(&path.display().to_string(), &policy, before));
        }
        confirm(arguments.yes)?;
        trusted.add(&path, &content);
        trusted.write(&list)?;
    }
    let value = json!({
        "file": path.display().to_string(),
        "digest": format!("sha256:{}", content.digest()),
        "trusted": true,
        "was_trusted": before == Trust::Trusted,
    });
    output::answer(value, |_| {
        let what = if before == Trust::Trusted {
            "was trusted already"
        } else {
            "is trusted now"
        };
        format!("{} {}", path.display(), paint(style::GOOD, what))
    });
    Ok(exit::OK)
}

/// The file, in the one form in which trust is kept.
fn file(arguments: &TrustArgs) -> Result<PathBuf, Failure> {
    let path = match &arguments.file {
        Some(file) => file.clone(),
        None => policies::nearest()?.ok_or_else(|| {
            Failure::new(
                ErrorKind::InvalidPolicy,
                "there is no toolcell.toml here or in a directory above",
            )
            .help("name a file: `toolcell trust FILE`")
        })?,
    };
    // The directory without links, as the working directory is from which `load` finds the file.
    let failed = |error: &io::Error| Failure::io("find", &path, error);
    let absolute = std::path::absolute(&path).map_err(|error| failed(&error))?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Failure::usage(format!("{} is no file", path.display())));
    };
    let directory = fs::canonicalize(directory).map_err(|error| failed(&error))?;
    Ok(directory.join(name))
}

fn confirm(yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !prompt::possible() {
        return Err(
            Failure::new(ErrorKind::Untrusted, "there is no terminal to ask on")
                .help("a person has to trust a policy; to do so in a script, give --yes"),
        );
    }
    if prompt::confirm("Trust this file, exactly as it is now?") {
        Ok(())
    } else {
        Err(Failure::new(
            ErrorKind::Untrusted,
            "not trusted, so it is not in force",
        ))
    }
}

/// What the file would put in force.
fn plain_words(path: &str, policy: &Policy, before: Trust) -> String {
    let mut text = format!("{} ", paint(style::BOLD, path));
    text.push_str(match before {
        Trust::Changed => "changed since you trusted it. It grants:\n",
        Trust::Trusted | Trust::Unknown => "grants:\n",
    });
    let mut any = false;
    for (name, tool) in policy.tools() {
        any = true;
        let from = tool
            .from()
            .map_or(String::new(), |from| format!(" from {from}"));
        text.push_str(&format!(
            "{}\n",
            style::one_line(&format!("{name}{from}"), 120)
        ));
        let lines = describe::tool_policy(tool);
        if lines.is_empty() {
            text.push_str("  nothing\n");
        }
        text.push_str(&describe::text(&lines));
    }
    if !any {
        text.push_str("  nothing: it lists no tools\n");
    }
    if let Some(lock) = policy.lock() {
        text.push_str("Its lock file pins these packages, exactly as they were then:\n");
        for package in lock.packages() {
            let line = format!(
                "{} {} from {}",
                package.name(),
                package.version(),
                package.from()
            );
            let digest = paint(style::DIM, package.component());
            text.push_str(&format!("  {} {digest}\n", style::one_line(&line, 120)));
        }
    }
    if let Some(audit) = policy.audit_path() {
        text.push_str(&format!(
            "It writes the audit log to {}\n",
            style::one_line(audit, 200)
        ));
    }
    text.pop();
    text
}
