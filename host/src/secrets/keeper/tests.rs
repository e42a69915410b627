use std::sync::atomic::Ordering;

use super::*;
use crate::secrets::{
    Hits,
    fixtures::{Server, Values, grant, token},
    known::{IDLE_TENANTS_MAX, VALUES_KEPT},
    redaction::SECRETS_MAX,
};

fn env(name: &str) -> SecretSource {
    SecretSource::Env(name.to_owned())
}

fn keeper(values: &Arc<Values>) -> Keeper {
    let server = Server::answers([token("f1rst-tXk3n-aQ7", 1)]);
    Keeper::new(
        Some(Arc::new(Arc::clone(values))),
        Arc::new(server),
        Redaction::new(),
        Weaknesses::default(),
    )
}

impl Keeper {
    /// What a call holds of that tenant's.
    pub(in crate::secrets) async fn call_of(
        &self,
        package: &str,
        grants: &[SecretGrant],
        id: Option<&TenantId>,
    ) -> Result<Arc<CallSecrets>, SecretError> {
        self.of(package, grants, &self.tenant(id)).await
    }
}

async fn values(call: &CallSecrets) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for bound in call.bound() {
        let value = bound.value().await.unwrap();
        found.push(value.map(|value| String::from_utf8(value.expose().to_vec()).unwrap()));
    }
    found
}

fn seen(call: &CallSecrets, text: &str) -> String {
    call.redactor()
        .text(text, &mut Hits::default())
        .into_owned()
}

#[tokio::test]
async fn a_value_is_searched_for_before_it_can_be_used() {
    let values_ = Arc::new(Values::default().with("", "web", "env:KEY", "vZq8w-0n3-xyz"));
    let keeper = keeper(&values_);
    let call = keeper
        .call_of("web", &[grant("KEY", env("KEY"))], None)
        .await
        .unwrap();
    assert_eq!(call.names(), ["KEY"]);
    assert_eq!(seen(&call, "a vZq8w-0n3-xyz b"), "a [secret KEY] b");
    assert_eq!(keeper.sinks().text("vZq8w-0n3-xyz"), "[secret KEY]");
    assert_eq!(values(&call).await, [Some("vZq8w-0n3-xyz".to_owned())]);
    // Calls without secrets search for those of their tenant all the same.
    assert_eq!(
        seen(
            &keeper.call_of("other", &[], None).await.unwrap(),
            "vZq8w-0n3-xyz"
        ),
        "[secret KEY]"
    );
}

#[tokio::test]
async fn an_absent_value_is_told_once_and_no_error() {
    let values_ = Arc::new(Values::default());
    let keeper = keeper(&values_);
    for told in [1, 0, 0] {
        let call = keeper
            .call_of("web", &[grant("KEY", env("KEY"))], None)
            .await
            .unwrap();
        assert_eq!(call.absent().len(), told);
        assert!(call.names().is_empty());
        assert_eq!(values(&call).await, [None]);
    }
    values_.set("", "web", "env:KEY", "vZq8w-0n3-xyz");
    let call = keeper
        .call_of("web", &[grant("KEY", env("KEY"))], None)
        .await
        .unwrap();
    assert_eq!(call.names(), ["KEY"]);
    // Without a store nothing has a value.
    let nothing = Keeper::new(
        None,
        Arc::new(Server::default()),
        Redaction::new(),
        Weaknesses::default(),
    );
    let call = nothing
        .call_of("web", &[grant("KEY", env("KEY"))], None)
        .await
        .unwrap();
    assert!(call.names().is_empty() && call.absent().len() == 1);
}

#[tokio::test]
async fn a_weak_value_names_the_secret_and_its_rule_and_not_itself() {
    let values_ = Arc::new(Values::default().with("", "web", "env:KEY", "hunter2-hunter2"));
    let found = keeper(&values_)
        .call_of("web", &[grant("KEY", env("KEY"))], None)
        .await;
    let error = found.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the secret KEY (env) cannot be used: its value is refused, since it is made of common words, as a placeholder or \
         a default password is"
    );
    assert_eq!(error.rule(), Some("toolcell.toml:7 tool.web.secrets.KEY"));
    assert!(error.help().is_some());
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_changed_value_is_seen_by_the_next_call_and_old_ones_are_searched_for_a_while() {
    let values_ = Arc::new(Values::default());
    let keeper = keeper(&values_);
    let of = |at: usize| format!("vZq8w-{at}-xyzQ");
    for at in 0..6 {
        values_.set("", "web", "env:KEY", &of(at));
        let call = keeper
            .call_of("web", &[grant("KEY", env("KEY"))], None)
            .await
            .unwrap();
        assert_eq!(values(&call).await, [Some(of(at))]);
        for old in 0..=at {
            let searched = at - old < VALUES_KEPT;
            assert_eq!(
                seen(&call, &of(old)) == "[secret KEY]",
                searched,
                "{old} at {at}"
            );
            assert_eq!(keeper.sinks().text(&of(old)) == "[secret KEY]", searched);
        }
    }
    assert_eq!(values_.asked.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_value_of_two_packages_is_searched_for_while_one_has_it() {
    let values_ = Arc::new(Values::default().with("", "other", "env:KEY", "vZq8w-0-xyzQ"));
    let keeper = keeper(&values_);
    let grants = [grant("KEY", env("KEY"))];
    keeper.call_of("other", &grants, None).await.unwrap();
    for at in 0..VALUES_KEPT + 2 {
        values_.set("", "web", "env:KEY", &format!("vZq8w-{at}-xyzQ"));
        keeper.call_of("web", &grants, None).await.unwrap();
    }
    assert_eq!(keeper.sinks().text("vZq8w-0-xyzQ"), "[secret KEY]");
    assert_eq!(keeper.sinks().text("vZq8w-1-xyzQ"), "vZq8w-1-xyzQ");
}

/// S18: what one tenant has is neither used for another nor told to it.
#[tokio::test]
async fn tenants_share_nothing() {
    let values_ = Arc::new(
        Values::default()
            .with("a", "web", "env:KEY", "vZq8w-0f-a-xyz")
            .with("b", "web", "env:KEY", "vZq8w-0f-b-xyz")
            .with("a", "mail", "env:KEY", "vZq8w-0f-m-xyz"),
    );
    let keeper = keeper(&values_);
    let grants = [grant("KEY", env("KEY"))];
    let (a, b) = (TenantId::new("a"), TenantId::new("b"));
    let of_a = keeper.call_of("web", &grants, Some(&a)).await.unwrap();
    let of_b = keeper.call_of("web", &grants, Some(&b)).await.unwrap();
    let of_mail = keeper.call_of("mail", &grants, Some(&a)).await.unwrap();
    let of_nobody = keeper.call_of("web", &grants, None).await.unwrap();
    assert_eq!(values(&of_a).await, [Some("vZq8w-0f-a-xyz".to_owned())]);
    assert_eq!(values(&of_b).await, [Some("vZq8w-0f-b-xyz".to_owned())]);
    assert_eq!(values(&of_mail).await, [Some("vZq8w-0f-m-xyz".to_owned())]);
    assert_eq!(values(&of_nobody).await, [None]);
    // To be told "[secret KEY]" would tell one tenant that it guessed another's value.
    assert_eq!(seen(&of_b, "vZq8w-0f-a-xyz"), "vZq8w-0f-a-xyz");
    assert_eq!(seen(&of_a, "vZq8w-0f-a-xyz"), "[secret KEY]");
    // The sinks of the host are nobody's.
    assert_eq!(
        keeper.sinks().text("vZq8w-0f-a-xyz vZq8w-0f-b-xyz"),
        "[secret KEY] [secret KEY]"
    );
}

#[tokio::test]
async fn idle_tenants_are_forgotten_and_busy_ones_are_not() {
    let values_ = Arc::new(Values::default());
    let keeper = keeper(&values_);
    let grants = [grant("KEY", env("KEY"))];
    let of = |at: usize| format!("vZq8w-{at}-xyzQ");
    let call = async |at: usize| {
        let tenant = TenantId::new(&at.to_string());
        values_.set(tenant.as_str(), "web", "env:KEY", &of(at));
        keeper.call_of("web", &grants, Some(&tenant)).await.unwrap()
    };
    let busy = call(0).await;
    for at in 1..IDLE_TENANTS_MAX + 4 {
        call(at).await;
    }
    let searched = |at| keeper.sinks().text(&of(at)) == "[secret KEY]";
    assert!(searched(0) && seen(&busy, &of(0)) == "[secret KEY]");
    assert!(!searched(1) && !searched(2) && searched(3) && searched(IDLE_TENANTS_MAX + 3));
    // It comes back as if it had never been away.
    assert_eq!(values(&*call(1).await).await, [Some(of(1))]);
    assert!(searched(1));
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up() {
    struct Silent;
    impl crate::SecretStore for Silent {
        async fn get(&self, _: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
            std::future::pending().await
        }
    }
    let mut keeper = Keeper::new(
        Some(Arc::new(Silent)),
        Arc::new(Server::default()),
        Redaction::new(),
        Weaknesses::default(),
    );
    assert_eq!(keeper.patience, LOOK_UP_TIME);
    keeper.patience = Duration::ZERO;
    let found = keeper
        .call_of("web", &[grant("KEY", env("KEY"))], None)
        .await;
    let said = found.err().unwrap().to_string();
    assert!(said.ends_with("did not answer within 0 s"), "{said}");
}

#[tokio::test]
async fn what_the_embedder_registered_is_searched_for_in_every_tenants_calls() {
    let keeper = keeper(&Arc::default());
    let early = keeper
        .call_of("web", &[], Some(&TenantId::new("a")))
        .await
        .unwrap();
    let value = || Secret::new("rG1st7-xyzQ").unwrap();
    keeper.sinks().register("MODEL_KEY", value());
    let late = keeper.call_of("web", &[], None).await.unwrap();
    for call in [early, late] {
        assert_eq!(seen(&call, "rG1st7-xyzQ"), "[secret MODEL_KEY]");
    }
}

/// S18, the twin: with all tenants one, the test above would find what it looks for.
#[tokio::test]
async fn without_the_defence_tenants_share() {
    let values_ = Arc::new(Values::default().with("", "web", "env:KEY", "vZq8w-0f-a-xyz"));
    let mut keeper = keeper(&values_);
    keeper.weak.add(Weakness::TenantsShare);
    let grants = [grant("KEY", env("KEY"))];
    for tenant in ["a", "b"] {
        let call = keeper
            .call_of("web", &grants, Some(&TenantId::new(tenant)))
            .await
            .unwrap();
        assert_eq!(values(&call).await, [Some("vZq8w-0f-a-xyz".to_owned())]);
    }
}

/// A host searches for so many values at a time. The tenants that were idle longest are forgotten for new ones first.
#[tokio::test]
async fn there_is_room_for_a_number_of_values() {
    let mut values_ = Values::default();
    let name = |n: usize| format!("KEY{n}");
    for tenant in ["a", "b"] {
        for n in 0..=SECRETS_MAX {
            let value = format!("vZq8w-{tenant}{n:05}-xyz");
            values_ = values_.with(tenant, "web", &format!("env:{}", name(n)), &value);
        }
    }
    let keeper = keeper(&Arc::new(values_));
    let grants: Vec<_> = (0..=SECRETS_MAX)
        .map(|n| grant(&name(n), env(&name(n))))
        .collect();
    let (a, b) = (TenantId::new("a"), TenantId::new("b"));

    let call = keeper
        .call_of("web", &grants[..600], Some(&a))
        .await
        .unwrap();
    let refused = keeper.call_of("web", &grants[..600], Some(&b)).await;
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains("the secret KEY400 (env) cannot be used: 1000 credentials"),
        "{error}"
    );
    assert_eq!(seen(&call, "vZq8w-a00599-xyz"), "[secret KEY599]");
    drop(call);
    let call = keeper
        .call_of("web", &grants[..600], Some(&b))
        .await
        .unwrap();
    assert_eq!(seen(&call, "vZq8w-b00599-xyz"), "[secret KEY599]");
    drop(call);
    let refused = keeper.call_of("web", &grants, Some(&a)).await;
    assert!(refused.err().unwrap().to_string().contains("KEY1000"));
}
