use std::{fs, path::Path};

use super::*;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";

/// Characters that look random and are the same each time.
fn made(alphabet: &str, count: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ count as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        alphabet.as_bytes()[(state % alphabet.len() as u64) as usize] as char
    };
    (0..count).map(|_| next()).collect()
}

fn letters(count: usize) -> String {
    made(LETTERS, count)
}

fn hex(count: usize) -> String {
    made(HEX, count)
}

/// A text for every rule: what stands before the credential, the credential, and what stands after it. They are put together
/// here, so that no tool takes this file for a leak.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a line for each rule")]
fn examples() -> Vec<(&'static str, String, String, &'static str)> {
    let at = |id, before: &str, value: String, after| (id, before.to_owned(), value, after);
    let with = |id, start: &str, rest: String| (id, "x = ".to_owned(), format!("{start}{rest}"), " # y");
    vec![
        with("github-token", "ghp_", letters(36)),
        with("github-fine-grained-token", "github_pat_", format!("{}_{}", letters(22), letters(59))),
        with("gitlab-token", "glpat-", letters(20)),
        with("bitbucket-token", "ATBB", letters(32)),
        with("npm-token", "npm_", letters(36)),
        at("npmrc-token", "//registry/:_authToken=", letters(36), "\n"),
        with("pypi-token", "pypi-Ag", letters(80)),
        with("rubygems-key", "rubygems_", hex(48)),
        with("crates-io-token", "cio", letters(32)),
        with("nuget-key", "oy2", made(LOWER, 43)),
        with("docker-token", "dckr_pat_", letters(27)),
        at("docker-config", "{\"auths\":{\"r\":{\"auth\": \"", letters(28), "\"}}}"),
        with("aws-access-key-id", "AKIA", made(UPPER, 16)),
        at("aws-secret-key", "aws_secret_access_key = ", letters(40), "\n"),
        with("aws-bedrock-key", "ABSK", letters(108)),
        with("google-api-key", "AIza", letters(35)),
        with("google-oauth-secret", "GOCSPX-", letters(28)),
        with("google-access-token", "ya29.", letters(60)),
        at("google-service-account", "\"private_key_id\": \"", hex(40), "\","),
        at("azure-storage-key", "AccountName=a;AccountKey=", letters(86) + "==", ";"),
        at("azure-client-secret", "x = ", format!("{}8Q~{}", letters(3), letters(34)), " "),
        at("azure-shared-access-signature", "https://a/b?sv=1&sig=", letters(43) + "%3D", "&se=1"),
        with("azure-devops-token", &letters(76), "AZDO".to_owned() + &letters(4)),
        with("digitalocean-token", "dop_v1_", hex(64)),
        at("cloudflare-token", "CLOUDFLARE_API_TOKEN=", letters(40), "\n"),
        with("cloudflare-origin-key", "v1.0-", format!("{}-{}", hex(24), hex(146))),
        with("heroku-key", "HRKU-", letters(40)),
        with("fly-token", "fo1_", letters(43)),
        with("netlify-token", "nfp_", letters(36)),
        with("supabase-key", "sb_secret_", letters(31)),
        with("planetscale-token", "pscale_tkn_", letters(43)),
        with("databricks-token", "dapi", hex(32)),
        with("tailscale-key", "tskey-auth-", format!("{}-{}", letters(12), letters(32))),
        with("anthropic-key", "sk-ant-", format!("api03-{}", letters(95))),
        with("openai-key", "sk-", format!("proj-{}", letters(100))),
        with("openrouter-key", "sk-or-v1-", hex(64)),
        with("huggingface-token", "hf_", letters(34)),
        with("groq-key", "gsk_", letters(52)),
        with("xai-key", "xai-", letters(80)),
        with("perplexity-key", "pplx-", letters(48)),
        with("replicate-token", "r8_", letters(37)),
        with("slack-token", "xoxb-", format!("{}-{}", made("0123456789", 12), letters(24))),
        at("slack-webhook", "https://hooks.slack.com/services/", format!("T{}/B{}/{}", made(UPPER, 8), made(UPPER, 10), letters(24)), ""),
        at("discord-webhook", &format!("https://discord.com/api/webhooks/{}/", made("123456789", 18)), letters(68), ""),
        at("discord-token", "DISCORD_BOT=", format!("M{}.{}.{}", letters(25), letters(6), letters(38)), ""),
        at("telegram-token", "bot ", format!("{}:AA{}", made("123456789", 10), letters(33)), " "),
        at("twilio-secret", "TWILIO_AUTH = '", hex(32), "'"),
        with("sendgrid-key", "SG.", format!("{}.{}", letters(22), letters(43))),
        with("mailgun-key", "key-", hex(32)),
        with("mailchimp-key", &hex(32), "-us12".to_owned()),
        with("brevo-key", "xkeysib-", format!("{}-{}", hex(64), letters(16))),
        with("stripe-key", "sk_live_", letters(24)),
        with("webhook-signing-secret", "whsec_", letters(32)),
        with("shopify-token", "shpat_", hex(32)),
        with("square-token", "sq0atp-", letters(22)),
        with("vault-token", "hvs.", letters(24)),
        with("terraform-token", &letters(14), format!(".atlasv1.{}", letters(67))),
        with("pulumi-token", "pul-", hex(40)),
        with("doppler-token", "dp.pt.", letters(43)),
        with("onepassword-token", "ops_eyJ", letters(250)),
        with("grafana-token", "glsa_", letters(41)),
        with("new-relic-key", "NRAK-", made(UPPER, 27)),
        with("sentry-token", "sntrys_", letters(120)),
        with("dynatrace-token", "dt0c01.", format!("{}.{}", made(UPPER, 24), made(UPPER, 64))),
        with("postman-key", "PMAK-", format!("{}-{}", hex(24), hex(34))),
        with("atlassian-token", "ATATT3", letters(180)),
        with("linear-key", "lin_api_", letters(40)),
        with("notion-token", "ntn_", letters(46)),
        with("figma-token", "figd_", letters(43)),
        with("airtable-token", "pat", format!("{}.{}", letters(14), hex(64))),
        with("dropbox-token", "sl.", letters(136)),
        with("contentful-token", "CFPAT-", letters(43)),
        at("private-key", &format!("-----BEGIN RSA {} KEY-----", "PRIVATE"), format!("\n{}\n{}\n", letters(64), letters(50)), "-----END RSA"),
        at("putty-key", "Private-Lines: 2\n", format!("{}\n{}", letters(64), letters(40)), "\nPrivate-MAC: 1"),
        with("age-key", "AGE-SECRET-KEY-1", made("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        with("json-web-token", "eyJ", format!("{}.eyJ{}.{}", letters(20), letters(40), letters(43))),
        at("url-password", "postgres://app:", letters(16), "@db.internal/x"),
        at("connection-string-password", "Server=db;Database=x;Password=", letters(16), ";"),
        at("curl-user", "curl -s -u admin:", letters(14), " https://h"),
        at("netrc-password", "machine h login me password ", letters(14), "\n"),
        at("authorization-header", "Authorization: Basic ", letters(24), "\r\n"),
        at("bearer-token", "send Bearer ", letters(30), "."),
        at("assignment", "db_password: '", letters(18), "'"),
    ]
}

fn found(text: &str) -> Vec<String> {
    let found = UnknownSecrets::builtin().find(text);
    found
        .iter()
        .map(|it| format!("{} {}", it.rule, &text[it.range.clone()]))
        .collect()
}

#[test]
fn the_built_in_rules_are_understood() {
    let file = File::read(BUILTIN).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.rules.len(), UnknownSecrets::builtin().rules().count());
    assert!(file.rules.len() > 80);
}

#[test]
fn every_rule_finds_what_it_is_for() {
    let examples = examples();
    let tested: Vec<&str> = examples.iter().map(|(id, ..)| *id).collect();
    let secrets = UnknownSecrets::builtin();
    let known: Vec<&str> = secrets.rules().map(|(id, _)| id).collect();
    assert_eq!(tested, known);
    for (id, before, value, after) in &examples {
        let text = format!("{before}{value}{after}");
        let (clean, findings) = secrets.redact(&text);
        assert_eq!(found(&text), [format!("{id} {value}")], "{text}");
        assert_eq!(
            clean,
            format!("{before}[likely secret {id}]{after}"),
            "{findings:?}"
        );
        assert!(secrets.find(&clean).is_empty(), "{clean}");
    }
}

#[test]
fn no_rule_takes_a_placeholder_or_a_part() {
    for (id, before, value, after) in examples() {
        let text = format!("{before}{}{after}", &value[..value.len() / 3]);
        // A part of a key that is given to a password is likely one.
        let taken = found(&text).into_iter().find(|it| it.starts_with(id));
        assert!(taken.is_none() || id == "private-key", "{text}");
        if id != "private-key" && id != "putty-key" {
            let masked: String = value
                .chars()
                .map(|c| if c.is_alphanumeric() { 'x' } else { c })
                .collect();
            assert_eq!(found(&format!("{before}{masked}{after}")), [""; 0], "{id}");
            let filled = format!("{before}{}EXAMPLE{after}", &value[..value.len() - 7]);
            assert_eq!(found(&filled), [""; 0], "{id}");
        }
    }
}

#[test]
fn ordinary_text_has_no_findings() {
    for text in [
        "password: correct horse battery staple",
        "token = env.GITHUB_TOKEN",
        "const token = await fetchTokenFromSession();",
        "api_key: ${API_KEY}",
        "the secret: [secret GITHUB_TOKEN] and [likely secret stripe-key]",
        "postgres://user:password@localhost/db",
        "see https://example.com:8443/path@2",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "key-value pairs, monkey-patching, us-east-1",
        "commit 5f2b1c0e6d7a8b9c0d1e2f3a4b5c6d7e8f901234",
        "Authorization: Bearer <token>",
        "secrets.GITHUB_TOKEN = { from = \"env:GITHUB_TOKEN\", header = \"Authorization: Bearer {}\" }",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}

/// What our own pages, policies and sources say is nothing that looks like a credential.
#[test]
fn the_repository_has_no_findings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let secrets = UnknownSecrets::builtin();
    let mut files: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for folder in ["docs", "examples", "host/src", "tests/cases"] {
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    files.push(path)
                }
            }
        }
    }
    let mut read = 0;
    for file in files {
        // Tests have values that look real, since others would not be taken for any.
        let is_test =
            file.to_string_lossy().contains("tests") && !file.to_string_lossy().contains("cases");
        let known = ["md", "toml", "rs", "json", "txt"];
        let is_text = file
            .extension()
            .is_some_and(|e| known.iter().any(|known| e == *known));
        if is_test || !is_text {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let found = secrets.find(text);
        assert!(found.is_empty(), "{}: {found:?}", file.display());
        read += 1;
    }
    assert!(read > 100, "{read}");
}

#[test]
fn the_more_special_rule_names_a_place() {
    let value = format!("ghp_{}", letters(36));
    assert_eq!(
        found(&format!("password={value}")),
        [format!("github-token {value}")]
    );
    let text = format!(
        "Authorization: Bearer {value}, postgres://a:{}@h",
        letters(16)
    );
    assert_eq!(found(&text).len(), 2);
}

#[test]
fn rules_can_be_added_replaced_and_left_away() {
    let own = "off = ['bearer-token']
[[rule]]
id = 'acme'
description = 'An ACME key'
regex = 'acme-([0-9]{6})'
group = 1
keywords = ['ACME-']
[[rule]]
id = 'assignment'
description = 'Nothing'
regex = 'no such text'
keywords = ['no such']
";
    let secrets = UnknownSecrets::builtin().with_rules(own).unwrap();
    let count = UnknownSecrets::builtin().rules().count();
    assert_eq!(secrets.rules().count(), count);
    let text = format!(
        "Bearer {} acme-123456 password={}",
        letters(30),
        letters(18)
    );
    let found: Vec<_> = secrets
        .find(&text)
        .into_iter()
        .map(|it| it.rule.to_string())
        .collect();
    assert_eq!(found, ["acme"]);
    assert_eq!(secrets.redact("acme-123456").0, "acme-[likely secret acme]");
}

#[test]
fn a_wrong_file_is_refused_with_the_rule() {
    let rule = |id: &str, regex: &str, more: &str| {
        format!("[[rule]]\nid = '{id}'\ndescription = 'd'\nregex = '{regex}'\n{more}\n")
    };
    let words = "keywords = ['k']";
    let cases = [
        ("no toml".to_owned(), "not understood"),
        ("colour = 1".to_owned(), "unknown field `colour`"),
        ("off = ['nobody']".to_owned(), "the rule `nobody`"),
        (
            rule("a", "(", words),
            "rule `a`: its `regex` is not understood",
        ),
        (rule("a", "(?=x)", words), "look-around"),
        (rule("a", "x", ""), "missing field `keywords`"),
        (
            rule("a", "x", "keywords = []"),
            "rule `a`: it needs `keywords`",
        ),
        (rule("a", "x", "keywords = ['']"), "1 to 200 are possible"),
        (rule("a", "x*", words), "finds the empty text"),
        (
            rule("a", "(x)", "keywords = ['k']\ngroup = 2"),
            "its `regex` has 1 groups",
        ),
        (
            rule("a", "x", "keywords = ['k']\nentropy = 9"),
            "its `entropy` is 9",
        ),
        (rule("a b", "x", words), "rule `number 1`: its `id`"),
        (
            rule("a", "x", words) + &rule("a", "y", words),
            "another rule of the file",
        ),
        (
            rule("a", &"x".repeat(5_000), words),
            "its `regex` has 5000 bytes",
        ),
        (rule("a", "[\\w]{900}{90}", words), "size limit"),
        ("#".repeat(RULE_FILE_BYTES_MAX + 1), "1048577 bytes"),
        (
            (0..501)
                .map(|n| rule(&format!("r{n}"), "x", words))
                .collect(),
            "there are 501 rules",
        ),
        (
            (0..450)
                .map(|n| rule(&format!("r{n}"), "x", words))
                .collect(),
            "at most 500 are possible",
        ),
    ];
    for (toml, message) in cases {
        let error = UnknownSecrets::builtin()
            .with_rules(&toml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}\n{message}");
    }
}

#[test]
fn a_long_text_is_searched_up_to_a_limit() {
    let value = format!("ghp_{}", letters(36));
    let text = "é ".repeat(UNKNOWN_SEARCH_BYTES_MAX / 3 - 100) + &value;
    assert_eq!(found(&text).len(), 1);
    let text = "é ".repeat(UNKNOWN_SEARCH_BYTES_MAX / 3 + 1) + &value;
    assert_eq!(found(&text).len(), 0);
}
