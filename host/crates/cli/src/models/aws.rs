//! Opens models on Amazon Bedrock, and finds the keys of AWS.

mod files;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use toolcell::ErrorKind;
use toolcell_agent::{
    ModelProvider,
    model::{AwsAuth, AwsKeys, Bedrock, BedrockConfig, Mantle, MantleConfig},
};
use toolcell_policy::ProviderSettings;

use self::files::{Kind, Profiles};
use super::{Models, headers, keys, unusable};
use crate::{
    env,
    failure::Failure,
    private::{self, Refused},
};

/// The largest shared file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Settings of a profile that lead to keys which have to be fetched first, with what they are.
const FETCHED: [(&str, &str); 6] = [
    ("sso_session", "signs in through a browser"),
    ("sso_start_url", "signs in through a browser"),
    ("role_arn", "takes on a role"),
    ("credential_process", "runs a program for its keys"),
    ("web_identity_token_file", "trades a token for its keys"),
    (
        "credential_source",
        "gets its keys from the machine it runs on",
    ),
];

impl Models {
    pub(super) async fn bedrock(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<Arc<dyn ModelProvider>, Failure> {
        let (auth, region) = self.aws(model, provider).await?;
        let mut config = BedrockConfig::new(model, region, auth);
        config.base_url = place(provider, env::ANTHROPIC_BEDROCK_BASE_URL);
        config.allow_http = provider.allow_http;
        config.version.clone_from(&provider.version);
        config.headers = headers(provider)?;
        config.timeouts = self.timeouts();
        let opened = Bedrock::new(config).map_err(|error| unusable(&error, provider))?;
        Ok(Arc::new(opened))
    }

    pub(super) async fn mantle(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<Arc<dyn ModelProvider>, Failure> {
        let (auth, region) = self.aws(model, provider).await?;
        let mut config = MantleConfig::new(model, region, auth);
        config.base_url = place(provider, env::ANTHROPIC_BEDROCK_MANTLE_BASE_URL);
        config.allow_http = provider.allow_http;
        if let Some(version) = &provider.version {
            config.version.clone_from(version);
        }
        config.headers = headers(provider)?;
        config.timeouts = self.timeouts();
        let opened = Mantle::new(config).map_err(|error| unusable(&error, provider))?;
        Ok(Arc::new(opened))
    }

    /// Who asks, and where: an API key where there is one, else keys to sign with.
    async fn aws(
        &self,
        model: &str,
        provider: &ProviderSettings,
    ) -> Result<(AwsAuth, String), Failure> {
        let files = Files::default();
        let region = files.region(provider)?;
        let auth = match self.keys.of(provider).await? {
            Some(found) => AwsAuth::Bearer(found.key()),
            None => {
                let spec = format!("{}:{model}", provider.name);
                let (keys, _) = files.keys(&spec)?;
                AwsAuth::Signed {
                    keys: Arc::new(keys),
                    clock: Arc::new(SystemTime::now),
                }
            }
        };
        Ok((auth, region))
    }
}

/// Where the keys of AWS are found, in words for people.
pub(super) fn keys_from(provider: &str) -> Result<String, Failure> {
    let (_, from) = Files::default().keys(provider)?;
    Ok(from)
}

fn place(provider: &ProviderSettings, variable: &str) -> Option<String> {
    provider.url.clone().or_else(|| env::text(variable))
}

/// The shared files of AWS.
struct Files {
    credentials: PathBuf,
    config: PathBuf,
    profile: String,
}

impl Default for Files {
    fn default() -> Self {
        let home = env::get("HOME").map(PathBuf::from).unwrap_or_default();
        let of = |name: &str, usual: &str| {
            env::get(name).map_or_else(|| home.join(".aws").join(usual), PathBuf::from)
        };
        Self {
            credentials: of(env::AWS_SHARED_CREDENTIALS_FILE, "credentials"),
            config: of(env::AWS_CONFIG_FILE, "config"),
            profile: env::text(env::AWS_PROFILE).unwrap_or_else(|| "default".to_owned()),
        }
    }
}

impl Files {
    fn read(path: &Path, kind: Kind) -> Result<Profiles, Failure> {
        match private::read(path, MAX_FILE_BYTES) {
            Ok((bytes, _)) => Ok(Profiles::read(&String::from_utf8_lossy(&bytes), kind)),
            Err(Refused::Absent) => Ok(Profiles::default()),
            Err(refused) => {
                let (message, help) = refused.told(path);
                let message = format!("the file of AWS {}: {message}", path.display());
                Err(Failure::new(ErrorKind::AuthRequired, message).help(help))
            }
        }
    }

    fn region(&self, provider: &ProviderSettings) -> Result<String, Failure> {
        let written = provider
            .region
            .clone()
            .or_else(|| env::text(env::AWS_REGION))
            .or_else(|| env::text(env::AWS_DEFAULT_REGION));
        if let Some(region) = written {
            return Ok(region);
        }
        // A region is no secret, and its file is mostly readable by all.
        let config = match crate::files::read_text(&self.config, MAX_FILE_BYTES) {
            Ok(text) => Profiles::read(&text, Kind::Config),
            Err(_) => Profiles::default(),
        };
        let region = config.get(&self.profile, "region").map(str::to_owned);
        region.ok_or_else(|| {
            let message = format!(
                "`{}` needs a region, and AWS_REGION is not set",
                provider.name
            );
            Failure::usage(message).help(format!(
                "set AWS_REGION, for example to eu-west-1, or write region = … in [provider.{}]",
                provider.name
            ))
        })
    }

    /// Keys to sign with: those of the environment, else those of the profile.
    fn keys(&self, spec: &str) -> Result<(AwsKeys, String), Failure> {
        let id = env::text(env::AWS_ACCESS_KEY_ID);
        let secret = env::text(env::AWS_SECRET_ACCESS_KEY);
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let session = env::text(env::AWS_SESSION_TOKEN);
                let keys = made(&id, &secret, session.as_deref());
                return Ok((keys, format!("env:{}", env::AWS_ACCESS_KEY_ID)));
            }
            (None, None) => {}
            (id, _) => {
                let absent = match id {
                    Some(_) => env::AWS_SECRET_ACCESS_KEY,
                    None => env::AWS_ACCESS_KEY_ID,
                };
                let message = format!("of the two variables for keys of AWS, {absent} is not set");
                return Err(Failure::new(ErrorKind::AuthRequired, message)
                    .help("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"));
            }
        }
        self.keys_of_profile(spec)
    }

    fn keys_of_profile(&self, spec: &str) -> Result<(AwsKeys, String), Failure> {
        let profile = &self.profile;
        let credentials = Self::read(&self.credentials, Kind::Credentials)?;
        let config = match crate::files::read_text(&self.config, MAX_FILE_BYTES) {
            Ok(text) => Profiles::read(&text, Kind::Config),
            Err(_) => Profiles::default(),
        };
        for file in [&credentials, &config] {
            let get = |key| file.get(profile, key);
            if let (Some(id), Some(secret)) =
                (get("aws_access_key_id"), get("aws_secret_access_key"))
            {
                let keys = made(id, secret, get("aws_session_token"));
                return Ok((keys, format!("profile {profile}")));
            }
        }
        let auth = |message: String| Failure::new(ErrorKind::AuthRequired, message);
        let fetched = FETCHED.iter().find(|(key, _)| {
            [&credentials, &config]
                .iter()
                .any(|it| it.get(profile, key).is_some())
        });
        if let Some((_, what)) = fetched {
            return Err(auth(format!(
                "the profile `{profile}` of AWS holds no keys: it {what}, and toolcell only reads keys"
            ))
            .help(format!(
                "fetch them into the environment: eval \"$(aws configure export-credentials --profile {profile} --format env)\""
            )));
        }
        let known: Vec<&str> = credentials.names().chain(config.names()).collect();
        if !known.is_empty() && !known.contains(&profile.as_str()) {
            return Err(auth(format!("there is no profile `{profile}` of AWS"))
                .help(format!("set AWS_PROFILE to one of {}", known.join(", "))));
        }
        Err(auth(format!(
            "`{spec}` needs keys of AWS, and there are none in the environment and in the profile `{profile}`"
        ))
        .help("set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"))
    }
}

fn made(id: &str, secret: &str, session: Option<&str>) -> AwsKeys {
    AwsKeys {
        id: id.trim().to_owned(),
        secret: keys::known(env::AWS_SECRET_ACCESS_KEY, secret),
        session: session.map(|token| keys::known(env::AWS_SESSION_TOKEN, token)),
    }
}
