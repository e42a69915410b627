//! Reads `oauth = { grant, token_url, client_id }`.

use url::Url;

use super::{check_keys, stored, table};
use crate::{
    OAuthAuth, OAuthGrant, OAuthSource, SecretSource,
    print::{Table, strings},
    reader::{Entry, Reader, Section},
};

/// The most scopes that are asked for.
pub const MAX_OAUTH_SCOPES: usize = 32;

/// The longest client identifier, and the longest scope, in bytes.
const MAX_WORD_BYTES: usize = 256;

const KEYS: [&str; 7] = [
    "grant",
    "token_url",
    "client_id",
    "client_secret",
    "refresh_token",
    "scopes",
    "auth",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ClientCredentials,
    RefreshToken,
}

const KINDS: [(&str, Kind); 2] = [
    ("client_credentials", Kind::ClientCredentials),
    ("refresh_token", Kind::RefreshToken),
];

const AUTHS: [(&str, OAuthAuth); 2] = [("basic", OAuthAuth::Basic), ("body", OAuthAuth::Body)];

pub(super) fn source(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<SecretSource> {
    let section = table(reader, entry)?;
    check_keys(reader, &section, &KEYS);
    let kind = match section.get("grant") {
        Some(entry) => reader.word(&entry, &KINDS).copied(),
        None => {
            reader.missing(&section, "grant");
            None
        }
    };
    let token_url = token_url(reader, &section);
    let client_id = client_id(reader, &section);
    let client_secret = section
        .get("client_secret")
        .map(|entry| stored(reader, &entry));
    let refresh_token = section
        .get("refresh_token")
        .map(|entry| stored(reader, &entry));
    let scopes = scopes(reader, &section);
    let auth = match section.get("auth") {
        Some(entry) if client_secret.is_none() => {
            reader.report(
                entry.key_span,
                "`auth` says something only beside `client_secret`",
                "remove it",
            );
            None
        }
        Some(entry) => reader.word(&entry, &AUTHS).copied(),
        None => Some(OAuthAuth::default()),
    };
    let kind = kind?;
    if kind == Kind::ClientCredentials && client_secret.is_none() {
        reader.missing(&section, "client_secret");
        return None;
    }
    let grant = match (kind, refresh_token) {
        (Kind::ClientCredentials, None) => OAuthGrant::ClientCredentials,
        (Kind::ClientCredentials, Some(_)) => {
            let span = section.get("refresh_token")?.key_span;
            reader.report(
                span,
                "`refresh_token` says something only beside grant = \"refresh_token\"",
                "remove it, or choose that grant",
            );
            return None;
        }
        (Kind::RefreshToken, None) => {
            reader.missing(&section, "refresh_token");
            return None;
        }
        (Kind::RefreshToken, Some(token)) => OAuthGrant::RefreshToken(token?),
    };
    let client_secret = match client_secret {
        Some(read) => Some(read?),
        None => None,
    };
    Some(SecretSource::OAuth(Box::new(OAuthSource {
        grant,
        token_url: token_url?,
        client_id: client_id?,
        client_secret,
        scopes: scopes?,
        auth: auth?,
    })))
}

fn token_url(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Url> {
    let text = reader.required(section, "token_url")?;
    let entry = section.get("token_url")?;
    let why = match Url::parse(text) {
        Ok(url) if url.scheme() != "https" => "does not begin with https://",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user name or password"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "holds a query or fragment",
        Ok(url) if url.host_str().is_none_or(|host| host.ends_with('.')) => {
            "names a host that ends with a dot"
        }
        Ok(url) => return Some(url),
        Err(_) => "is not a URL",
    };
    reader.hide(entry.node.span());
    reader.report(
        entry.node.span(),
        format!("`{}` {why}", entry.path),
        "write it like \"https://auth.example.com/oauth/token\"",
    );
    None
}

fn client_id(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<String> {
    let text = reader.required(section, "client_id")?;
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if (1..=MAX_WORD_BYTES).contains(&text.len()) && plain {
        return Some(text.to_owned());
    }
    let entry = section.get("client_id")?;
    reader.hide(entry.node.span());
    reader.report(
        entry.node.span(),
        format!("`{}` is not a client's identifier", entry.path),
        format!("it has 1 to {MAX_WORD_BYTES} printable ASCII characters"),
    );
    None
}

fn scopes(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<String>> {
    let Some(entry) = section.get("scopes") else {
        return Some(Vec::new());
    };
    let mut scopes: Vec<String> = Vec::new();
    let mut complete = true;
    for (element, text) in reader.strings(&entry, MAX_OAUTH_SCOPES)? {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        let problem = if !plain || !(1..=MAX_WORD_BYTES).contains(&text.len()) {
            reader.hide(element.node.span());
            "is not a scope"
        } else if scopes.iter().any(|it| it == text) {
            "stands here twice"
        } else {
            scopes.push(text.to_owned());
            continue;
        };
        complete = false;
        reader.report(
            element.node.span(),
            format!("`{}` {problem}", element.path),
            "each scope is one word without blanks, quotes and backslashes, and stands here once",
        );
    }
    complete.then_some(scopes)
}

pub(super) fn printed(source: &OAuthSource) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    match &source.grant {
        OAuthGrant::ClientCredentials => {
            put("grant", "client_credentials".into());
        }
        OAuthGrant::RefreshToken(token) => {
            put("grant", "refresh_token".into());
            put("refresh_token", token.to_string().into());
        }
    }
    put("token_url", source.token_url.to_string().into());
    put("client_id", source.client_id.clone().into());
    if let Some(secret) = &source.client_secret {
        put("client_secret", secret.to_string().into());
    }
    if !source.scopes.is_empty() {
        put("scopes", strings(&source.scopes));
    }
    if source.auth == OAuthAuth::Body {
        put("auth", "body".into());
    }
    table
}
