use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::{
    super::tests::{Hands, NOON, allowed, tokens},
    *,
};
use crate::budget::Period;

const MINUTE: Duration = Duration::from_secs(60);

fn ledger(dir: &tempfile::TempDir) -> FileLedger {
    FileLedger::new(dir.path().join("ledger"), Arc::new(Hands::at(NOON)))
}

async fn spend(ledger: &FileLedger, scope: &Scope, amount: u64) {
    let taken = ledger
        .reserve(scope, &[], tokens(amount), MINUTE)
        .await
        .unwrap();
    ledger.settle(&taken, tokens(amount)).await.unwrap();
}

async fn spent(ledger: &FileLedger, scope: &Scope) -> u64 {
    ledger.standing(scope).await.unwrap()[0].spent.tokens
}

#[tokio::test]
async fn what_was_spent_is_known_to_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope::tenant("acme");
    assert!(ledger(&dir).scopes().unwrap().is_empty());
    assert_eq!(spent(&ledger(&dir), &scope).await, 0);
    assert!(
        !dir.path().join("ledger").exists(),
        "looking creates nothing"
    );
    spend(&ledger(&dir), &scope, 30).await;
    spend(&ledger(&dir), &scope, 12).await;
    assert_eq!(spent(&ledger(&dir), &scope).await, 42);
    assert_eq!(ledger(&dir).scopes().unwrap(), [scope]);
    for (name, mode) in [
        ("ledger", 0o700),
        ("ledger/tenant-acme.json", 0o600),
        ("ledger/tenant-acme.lock", 0o600),
    ] {
        let metadata = fs::metadata(dir.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}

#[tokio::test]
async fn a_damaged_book_is_an_error_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, scope) = (ledger(&dir), Scope::tenant("acme"));
    spend(&ledger, &scope, 30).await;
    let path = dir.path().join("ledger/tenant-acme.json");
    let whole = fs::read(&path).unwrap();
    let other = String::from_utf8(whole.clone()).unwrap();
    let damages = [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        other.replace("acme", "evil").into_bytes(),
        other.replace("\"format\":1", "\"format\":2").into_bytes(),
        other.replace("\"spent\"", "\"spend\"").into_bytes(),
        vec![b' '; (MAX_BYTES + 1) as usize],
    ];
    for damage in damages {
        fs::write(&path, &damage).unwrap();
        let refused = ledger.reserve(&scope, &[], tokens(1), MINUTE).await;
        assert!(
            matches!(refused, Err(LedgerError::Damaged { .. })),
            "{refused:?}"
        );
        assert!(ledger.standing(&scope).await.is_err());
        assert_eq!(fs::read(&path).unwrap(), damage, "it is left as it is");
    }
    let kept = ledger.reset(&scope).await.unwrap().unwrap();
    assert_eq!(fs::read(&kept).unwrap().len() as u64, MAX_BYTES + 1);
    spend(&ledger, &scope, 5).await;
    assert_eq!(spent(&ledger, &scope).await, 5);
    assert_eq!(
        ledger.scopes().unwrap().len(),
        1,
        "what was set aside is no book"
    );
}

#[tokio::test]
async fn a_reset_forgets_what_was_spent_and_not_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, scope) = (ledger(&dir), Scope::agent("nightly"));
    spend(&ledger, &scope, 30).await;
    let taken = ledger
        .reserve(&scope, &[], tokens(9), MINUTE)
        .await
        .unwrap();
    assert_eq!(ledger.reset(&scope).await.unwrap(), None);
    let now = &ledger.standing(&scope).await.unwrap()[2];
    assert_eq!((now.spent.tokens, now.reserved.tokens), (0, 9));
    ledger.settle(&taken, tokens(8)).await.unwrap();
    assert_eq!(spent(&ledger, &scope).await, 8);
}

#[tokio::test]
async fn a_book_that_was_removed_still_learns_what_is_spent_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, scope) = (ledger(&dir), Scope::agent("a"));
    let taken = ledger
        .reserve(&scope, &[], tokens(9), MINUTE)
        .await
        .unwrap();
    fs::remove_file(dir.path().join("ledger/agent-a.json")).unwrap();
    ledger.settle(&taken, tokens(7)).await.unwrap();
    assert_eq!(spent(&ledger, &scope).await, 7);
}

#[tokio::test]
async fn a_lock_that_is_never_given_up_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, scope) = (ledger(&dir).lock_wait(Duration::ZERO), Scope::agent("a"));
    let lock = ledger.lock(&scope).unwrap();
    let refused = ledger.reserve(&scope, &[], tokens(1), MINUTE).await;
    assert!(
        matches!(refused, Err(LedgerError::Locked { .. })),
        "{refused:?}"
    );
    drop(lock);
    assert!(ledger.reserve(&scope, &[], tokens(1), MINUTE).await.is_ok());
}

#[tokio::test]
async fn a_name_that_makes_too_long_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, scope) = (ledger(&dir), Scope::agent("@".repeat(100)));
    let refused = ledger.reserve(&scope, &[], tokens(1), MINUTE).await;
    assert!(matches!(refused, Err(LedgerError::Name { .. })));
}

/// Many runs, each with a ledger of its own as in a process of its own: together they get what the budget has, and none
/// of it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_comes_at_the_same_time_shares_one_budget() {
    let dir = tempfile::tempdir().unwrap();
    let tasks: Vec<_> = (0..24)
        .map(|_| {
            let ledger = ledger(&dir);
            tokio::spawn(async move {
                let scope = Scope::tenant("acme");
                let allowances = allowed(Period::Day, 100);
                let taken = ledger
                    .reserve(&scope, &allowances, tokens(10), MINUTE)
                    .await;
                match taken {
                    Ok(taken) => {
                        ledger.settle(&taken, tokens(10)).await.unwrap();
                        1
                    }
                    Err(LedgerError::Exceeded(_)) => 0,
                    Err(other) => panic!("{other}"),
                }
            })
        })
        .collect();
    let mut got = 0;
    for task in tasks {
        got += task.await.unwrap();
    }
    assert_eq!(got, 10);
    assert_eq!(spent(&ledger(&dir), &Scope::tenant("acme")).await, 100);
}

proptest! {
    #[test]
    fn every_name_has_a_file_of_its_own(one in "\\PC{1,40}", other in "\\PC{1,40}") {
        let (one, other) = (Scope::agent(one), Scope::agent(other));
        let name = file_name(&one);
        prop_assert!(!name.contains('/') && !name.starts_with('.'));
        prop_assert_eq!(scope_of(&name), Some(one.clone()));
        prop_assert_eq!(one == other, file_name(&one) == file_name(&other));
    }
}
