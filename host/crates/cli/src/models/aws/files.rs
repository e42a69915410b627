//! The shared files of AWS (`~/.aws/credentials` and `~/.aws/config`), as far as they hold keys themselves.

use std::collections::BTreeMap;

/// The profiles of one file: the settings of each by its name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

/// Which of the two files it is: they name profiles differently.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// `[NAME]`.
    Credentials,
    /// `[default]` and `[profile NAME]`.
    Config,
}

impl Profiles {
    /// Reads a file. Lines that belong to no setting are skipped, as AWS's own tools do.
    pub(super) fn read(text: &str, kind: Kind) -> Self {
        let mut profiles = Self::default();
        let mut current: Option<String> = None;
        for line in text.lines() {
            // An indented line goes on with the setting above it, and none of ours has such lines.
            if line.starts_with([' ', '\t']) {
                continue;
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                current = rest
                    .split_once(']')
                    .and_then(|(name, _)| profile(name.trim(), kind));
                if let Some(name) = &current {
                    profiles.0.entry(name.clone()).or_default();
                }
                continue;
            }
            if let (Some(name), Some((key, value))) = (&current, line.split_once('='))
                && let Some(settings) = profiles.0.get_mut(name)
            {
                let value = value.split(" #").next().unwrap_or_default().trim();
                settings.insert(key.trim().to_ascii_lowercase(), value.to_owned());
            }
        }
        profiles
    }

    /// A setting of a profile; an empty one counts as absent.
    pub(super) fn get(&self, profile: &str, key: &str) -> Option<&str> {
        let value = self.0.get(profile)?.get(key)?;
        (!value.is_empty()).then_some(value)
    }

    /// The names of all profiles.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn profile(header: &str, kind: Kind) -> Option<String> {
    let quoted = |name: &str| name.trim().trim_matches(['"', '\'']).to_owned();
    match kind {
        Kind::Credentials => Some(quoted(header)),
        Kind::Config if header == "default" => Some(quoted(header)),
        Kind::Config => header
            .strip_prefix("profile")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map(quoted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "
# mine
[default]
aws_access_key_id = AKIDEXAMPLE
AWS_SECRET_ACCESS_KEY=abc=def # not this
stray
[ other ]
aws_session_token =
 indented = x
";

    #[test]
    fn keys_are_read_by_profile() {
        let profiles = Profiles::read(CREDENTIALS, Kind::Credentials);
        assert_eq!(
            profiles.get("default", "aws_access_key_id"),
            Some("AKIDEXAMPLE")
        );
        assert_eq!(
            profiles.get("default", "aws_secret_access_key"),
            Some("abc=def")
        );
        assert_eq!(profiles.get("other", "aws_session_token"), None);
        assert_eq!(profiles.get("other", "indented"), None);
        assert_eq!(profiles.names().collect::<Vec<_>>(), ["default", "other"]);
    }

    #[test]
    fn the_configuration_names_profiles_otherwise() {
        let text = "[default]\nregion=a\n[profile \"my team\"]\nregion = b\n[sso-session x]\nregion = c\n[plain]\nregion = d\n[broken\nregion = e";
        let profiles = Profiles::read(text, Kind::Config);
        assert_eq!(profiles.get("default", "region"), Some("a"));
        assert_eq!(profiles.get("my team", "region"), Some("b"));
        assert_eq!(profiles.names().collect::<Vec<_>>(), ["default", "my team"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[\\[\\]a-z =#;\"\n\t]{0,200}") {
            let _ = Profiles::read(&text, Kind::Config);
            let _ = Profiles::read(&text, Kind::Credentials);
        }
    }
}
