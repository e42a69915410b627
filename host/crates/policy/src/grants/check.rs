//! The answer for one concrete access.

use url::Url;

use super::GrantSet;
use crate::{
    Access, Effect, FileAccess, Method, NetGrant, Rule, Standing, Verdict,
    access::{is_within, normal_guest_path},
    layers::Party,
    net::RequestPath,
    policy::ToolPolicy,
    reader::shown,
};

impl GrantSet {
    /// Whether a request may be sent. Every layer that lists tools must have a rule that matches; where several match,
    /// the strictest decides. Query and fragment play no part.
    ///
    /// The rule that a denial names is the line that is missing something, or `default: denied until written`.
    pub fn check_net(&self, method: &str, url: &Url) -> Verdict {
        let access = || format!("{} {}", shown(method), shown(&origin_and_path(url)));
        let unsafe_request = |why: &str| {
            Verdict::deny(
                Rule::unwritten("requests that can be misread are denied"),
                why,
            )
        };
        if !url.username().is_empty() || url.password().is_some() {
            return unsafe_request("the address carries a user name or password");
        }
        if url.host_str().is_some_and(|host| host.ends_with('.')) {
            return unsafe_request("the host name ends with a dot");
        }
        let path = match RequestPath::of(url) {
            Ok(path) => path,
            Err(why) => return unsafe_request(why),
        };
        let Some(method) = Method::from_name(method) else {
            let reason = format!("the method {} is never granted", shown(method));
            return Verdict::deny(Rule::until_written(), reason);
        };
        let verdict = self.strictest(
            |tool| {
                let strict = tool.net.iter().filter(|it| {
                    it.approve > Effect::Allow && it.scope.touches(method, url, &path)
                });
                let loose = tool
                    .net
                    .iter()
                    .find(|it| it.scope.contains(method, url, &path))?;
                let strictest = strict.max_by_key(|it| it.approve).unwrap_or(loose);
                Some((strictest.approve, &strictest.rule))
            },
            &access,
        );
        let requested = || self.requests().cover_net(method, url, &path);
        unless_requested(verdict, requested, &access)
    }

    /// The grant of the highest layer that lets this host be reached; `None` when none does. Its
    /// [`allows_special_addresses`](NetGrant::allows_special_addresses) tells whether a private address may be dialled.
    pub fn net_grant(&self, url: &Url) -> Option<&NetGrant> {
        let reaching = |grant: &&NetGrant| grant.scope.reaches_host(url);
        let grants = || self.net().iter().filter(reaching);
        grants()
            .find(|grant| grant.allows_special_addresses())
            .or_else(|| grants().next())
    }

    /// How many redirects are followed for a request without the tool: in every layer what the strictest of its rules that
    /// match says, and the least of all layers. Each request on the way is one of its own, to be decided like any other.
    pub fn redirects(&self, method: &str, url: &Url) -> u8 {
        let (Some(method), Ok(path)) = (Method::from_name(method), RequestPath::of(url)) else {
            return 0;
        };
        let least = |tool: &ToolPolicy| {
            let touching = tool
                .net
                .iter()
                .filter(|it| it.scope.touches(method, url, &path));
            touching.map(|it| it.redirects).min().unwrap_or_default()
        };
        let layers = self.0.parties.iter();
        let layers = layers.map(|party| party.tool.as_deref().map_or(0, least));
        layers.min().unwrap_or_default()
    }

    /// Whether a credential is there for the package: for some request, whichever that is.
    pub fn check_secret(&self, name: &str) -> Verdict {
        let access = || format!("the secret {}", shown(name));
        let verdict = self.strictest(
            |tool| {
                let written = tool.secrets.iter().find(|it| it.name == name)?;
                Some((Effect::Allow, &written.rule))
            },
            &access,
        );
        let left = self.secrets().iter().any(|it| it.name == name);
        if verdict.effect == Effect::Deny || left {
            return verdict;
        }
        // Every layer names it. So the package did not ask for it, or the layers leave no request.
        let tools = self
            .0
            .parties
            .iter()
            .filter_map(|party| party.tool.as_ref());
        let mut written = tools
            .flat_map(|tool| &tool.secrets)
            .filter(|it| it.name == name);
        let asked = written.any(|it| self.requests().cover_secret(name, it.scope.to.as_ref()));
        let verdict = unless_requested(verdict, || asked, &access);
        if verdict.effect == Effect::Deny {
            return verdict;
        }
        Verdict::deny(Rule::until_written(), not_granted(&access()))
    }

    /// Whether a credential is put into a request: the request may be sent, and is one of those that it is for.
    pub fn check_secret_in(&self, name: &str, method: &str, url: &Url) -> Verdict {
        let there = self.check_secret(name);
        if there.effect == Effect::Deny {
            return there;
        }
        let sent = self.check_net(method, url);
        if sent.effect == Effect::Deny {
            return sent;
        }
        let Some(grant) = self.secrets().iter().find(|it| it.name == name) else {
            return there;
        };
        if !grant.applies(method, url) {
            let request = format!("{} {}", shown(method), shown(&origin_and_path(url)));
            let reason = format!("the secret {} is not for {request}", grant.name);
            return Verdict::deny(grant.rule.clone(), reason);
        }
        match sent.effect {
            Effect::Allow => there,
            _ => sent,
        }
    }

    /// Whether a guest path may be accessed. The path is absolute; `.` and empty segments are ignored, and one with `..`
    /// that could climb is denied.
    pub fn check_file(&self, guest_path: &str, access: FileAccess) -> Verdict {
        let verb = match access {
            FileAccess::Read => "reading",
            FileAccess::Write => "writing",
        };
        let what = || format!("{verb} {}", shown(guest_path));
        let Some(path) = normal_guest_path(guest_path) else {
            let rule = Rule::unwritten("paths that climb out of a directory are denied");
            return Verdict::deny(
                rule,
                format!("{} is not a path inside a directory", shown(guest_path)),
            );
        };
        if let Some(scratch) = self.scratch().filter(|it| is_within(&path, &it.guest)) {
            return Verdict::allow(scratch.rule.clone(), format!("{} is granted", what()));
        }
        if let Some(grant) = self
            .files()
            .iter()
            .find(|it| is_within(&path, &it.guest) && it.access >= access)
        {
            let inside = path.get(grant.guest.len()..).unwrap_or_default();
            if access == FileAccess::Write
                && let Standing::Inside(place) = grant.standing(inside)
            {
                return Verdict::deny(place.rule(), place.reason());
            }
            return Verdict::allow(grant.rule.clone(), format!("{} is granted", what()));
        }
        let verdict = self.strictest(
            |tool| {
                let grant = tool.files.iter().find(|it| is_within(&path, &it.guest))?;
                let enough = grant.access >= access;
                Some((
                    if enough { grant.approve } else { Effect::Deny },
                    &grant.rule,
                ))
            },
            &what,
        );
        // Every layer may grant it, and yet the request may not cover it, or the layers may mean different directories.
        let requested = || {
            self.requests()
                .file_access(&path)
                .is_some_and(|asked| asked >= access)
        };
        let verdict = unless_requested(verdict, requested, &what);
        if verdict.effect < Effect::Deny {
            return Verdict::deny(Rule::until_written(), not_granted(&what()));
        }
        let readable = self.files().iter().any(|it| is_within(&path, &it.guest));
        if readable && verdict.rule.is_written() {
            let reason = format!("{}, which may only read there", not_granted(&what()));
            return Verdict::deny(verdict.rule, reason);
        }
        verdict
    }

    /// Whether another tool may be called, by its public name.
    pub fn check_call(&self, public_tool_name: &str) -> Verdict {
        let access = || format!("calling {}", shown(public_tool_name));
        let verdict = self.strictest(
            |tool| {
                let grant = tool.calls.iter().find(|it| it.tool == public_tool_name)?;
                Some((Effect::Allow, &grant.rule))
            },
            &access,
        );
        let requested = || self.requests().cover_call(public_tool_name);
        unless_requested(verdict, requested, &access)
    }

    /// Whether the guest sees a variable.
    pub fn check_env(&self, name: &str) -> Verdict {
        let access = || format!("the variable {}", shown(name));
        let verdict = self.strictest(
            |tool| {
                let grant = tool.env.iter().find(|it| it.name == name)?;
                Some((Effect::Allow, &grant.rule))
            },
            &access,
        );
        let requested = || self.requests().cover_env(name);
        unless_requested(verdict, requested, &access)
    }

    /// What an access gets, whichever it is.
    pub(crate) fn check(&self, access: &Access) -> Verdict {
        match access {
            Access::Net { method, url } => self.check_net(method.name(), url),
            Access::File { path, access } => self.check_file(path, *access),
            Access::Env { name } => self.check_env(name),
            Access::Call { tool } => self.check_call(tool),
            Access::Secret { name, request } => match request {
                None => self.check_secret(name),
                Some(it) => self.check_secret_in(name, it.method.name(), &it.url),
            },
        }
    }

    /// Whether a line of the policy is all that an access lacks: no rule denies it, it cannot be misread, and the package
    /// requests it. A host that learns asks a person about such an access.
    pub fn lacks_a_line(&self, access: &Access) -> bool {
        let verdict = self.check(access);
        verdict.effect == Effect::Deny
            && verdict.rule == Rule::until_written()
            && self.requests().cover(access)
    }

    /// The strictest of what all layers say. The highest layer decides among equals; a layer that says nothing denies.
    fn strictest<'g>(
        &'g self,
        says: impl Fn(&'g ToolPolicy) -> Option<(Effect, &'g Rule)>,
        access: &dyn Fn() -> String,
    ) -> Verdict {
        let mut strictest: Option<(Effect, &Rule)> = None;
        for (index, Party { tool }) in self.0.parties.iter().enumerate() {
            let Some(tool) = tool else {
                return Verdict::deny(Rule::until_written(), not_granted(&access()));
            };
            let Some(said) = says(tool) else {
                // Below the ceiling a table that leaves something out is what denies it, so it is named.
                let rule = if index == 0 {
                    Rule::until_written()
                } else {
                    tool.rule.clone()
                };
                return Verdict::deny(rule, not_granted(&access()));
            };
            if strictest.is_none_or(|(effect, _)| said.0 > effect) {
                strictest = Some(said);
            }
        }
        match strictest {
            None => Verdict::deny(Rule::until_written(), not_granted(&access())),
            Some((effect, rule)) => {
                let reason = match effect {
                    Effect::Allow => format!("{} is granted", access()),
                    Effect::Ask => format!("{} needs a person's consent", access()),
                    Effect::Deny => format!("{} is denied by the policy", access()),
                };
                Verdict::new(effect, rule.clone(), reason)
            }
        }
    }
}

fn unless_requested(
    verdict: Verdict,
    requested: impl Fn() -> bool,
    access: &dyn Fn() -> String,
) -> Verdict {
    if verdict.effect == Effect::Deny || requested() {
        return verdict;
    }
    let reason = format!(
        "{}, since the package did not ask for it",
        not_granted(&access())
    );
    Verdict::deny(Rule::not_requested(), reason)
}

fn not_granted(access: &str) -> String {
    format!("{access} is not granted to this tool")
}

/// A URL without its query, which may hold what must not be repeated.
fn origin_and_path(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
