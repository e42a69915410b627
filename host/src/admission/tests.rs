use std::{pin::Pin, task::Poll};

use futures_util::{FutureExt as _, future::BoxFuture, poll};

use super::*;

/// Long enough for a test to run, and too short to be forgotten.
const LATER: Duration = Duration::from_secs(60);

fn limits(text: &str) -> SharedLimits {
    let policy = toolcell_policy::Policy::from_toml(&format!("[session]\n{text}")).unwrap();
    toolcell_policy::Layers::from(policy).session_limits()
}

/// A host with so many places, whose limits on sessions are these.
fn host(places: u32, session: &str) -> Admission {
    Admission::new(&limits(session), &SharedLimits::host(), places)
}

/// Far from every limit but those that the test sets.
fn bounds() -> Bounds {
    Bounds {
        concurrency: 1_000,
        queue: 1_000,
        questions: 1_000,
        rate: None,
    }
}

fn caller(tool: &str) -> Caller<'_> {
    Caller {
        tool,
        bounds: bounds(),
        session: None,
    }
}

type Entering<'a> = Pin<Box<dyn Future<Output = Result<Place, Refusal>> + Send + 'a>>;

fn enter<'a>(admission: &'a Admission, caller: Caller<'a>) -> Entering<'a> {
    Box::pin(admission.enter(caller, false, Instant::now() + LATER))
}

/// Takes a place that has to be free.
fn take(admission: &Admission, caller: Caller<'_>) -> Place {
    let place = enter(admission, caller).now_or_never();
    place.expect("a place is free").expect("it is given")
}

/// Why a call is turned away at once.
fn refused(admission: &Admission, caller: Caller<'_>) -> Refusal {
    let entered = enter(admission, caller).now_or_never();
    entered
        .expect("it does not wait")
        .err()
        .expect("it is turned away")
}

/// Which of the calls that wait has its place now.
async fn woken(waiting: &mut Vec<(&'static str, Entering<'_>)>) -> Vec<(&'static str, Place)> {
    let mut woken = Vec::new();
    let mut at = 0;
    while let Some((name, entering)) = waiting.get_mut(at) {
        match poll!(entering.as_mut()) {
            Poll::Ready(place) => {
                woken.push((*name, place.unwrap()));
                drop(waiting.remove(at));
            }
            Poll::Pending => at += 1,
        }
    }
    woken
}

#[tokio::test]
async fn a_tool_that_floods_the_host_leaves_half_of_it() {
    let admission = host(64, "");
    let flood: Vec<Place> = (0..32).map(|_| take(&admission, caller("noisy"))).collect();
    let mut more: Vec<Entering<'_>> = (0..64)
        .map(|_| enter(&admission, caller("noisy")))
        .collect();
    for call in &mut more {
        assert!(poll!(call.as_mut()).is_pending());
    }
    assert_eq!(admission.report().waiting, 64);
    // Another one finds a place at once, however much waits.
    let quiet = take(&admission, caller("quiet"));
    drop((quiet, flood));
    // Those that waited run now, again up to half.
    let mut running = 0;
    let mut places = Vec::new();
    for call in &mut more {
        if let Poll::Ready(place) = poll!(call.as_mut()) {
            places.push(place.unwrap());
            running += 1;
        }
    }
    assert_eq!((running, admission.report().running), (32, 32));
}

#[tokio::test]
async fn several_that_flood_leave_a_place_for_one_more() {
    let admission = host(64, "");
    let mut places = Vec::new();
    for round in 0..64 {
        for tool in ["a", "b", "c"] {
            if let Some(place) = enter(&admission, caller(tool)).now_or_never() {
                places.push((round, place.unwrap()));
            }
        }
    }
    assert_eq!(admission.report().running, 48);
    let quiet = take(&admission, caller("quiet"));
    drop((quiet, places));
    assert_eq!(admission.report(), AdmissionReport::default());
}

#[tokio::test]
async fn the_only_place_of_a_small_host_is_for_anybody() {
    let admission = host(1, "");
    let place = take(&admission, caller("a"));
    let mut waiting = enter(&admission, caller("b"));
    assert!(poll!(waiting.as_mut()).is_pending());
    drop(place);
    assert!(poll!(waiting.as_mut()).is_ready());
}

#[tokio::test]
async fn queues_take_turns() {
    let admission = host(1, "");
    let first = take(&admission, caller("first"));
    let mut waiting: Vec<(&str, Entering<'_>)> = Vec::new();
    for tool in ["a", "a", "a", "a", "b", "b", "c"] {
        waiting.push((tool, enter(&admission, caller(tool))));
        assert!(poll!(waiting.last_mut().unwrap().1.as_mut()).is_pending());
    }
    let mut order = Vec::new();
    let mut place = Some(first);
    while let Some(done) = place.take() {
        drop(done);
        for (tool, next) in woken(&mut waiting).await {
            order.push(tool);
            place = Some(next);
        }
    }
    assert_eq!(order, ["a", "b", "c", "a", "b", "a", "a"]);
}

#[tokio::test]
async fn a_queue_is_bounded_for_a_tool_and_never_takes_all_of_the_host() {
    let admission = host(1, "");
    let _busy = take(&admission, caller("x"));
    let small = Caller {
        bounds: Bounds {
            queue: 2,
            ..bounds()
        },
        ..caller("small")
    };
    let mut waiting: Vec<Entering<'_>> = (0..2).map(|_| enter(&admission, small)).collect();
    for call in &mut waiting {
        assert!(poll!(call.as_mut()).is_pending());
    }
    assert_eq!(refused(&admission, small), Refusal::Queue(Whose::Tool, 2));
    let mut turned_away = 0;
    for _ in 0..10_000 {
        let mut call = enter(&admission, caller("noisy"));
        match poll!(call.as_mut()) {
            Poll::Ready(Err(refusal)) => {
                assert_eq!(refusal, Refusal::QueueShare(Whose::Tool, 127));
                turned_away += 1;
            }
            Poll::Ready(Ok(_)) => panic!("there is no place"),
            Poll::Pending => waiting.push(call),
        }
    }
    assert_eq!(turned_away, 10_000 - 127);
    assert_eq!(admission.report().turned_away, turned_away + 1);
    // Somebody else may still wait.
    assert!(poll!(enter(&admission, caller("quiet")).as_mut()).is_pending());
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_queue() {
    let admission = host(1, "");
    let place = take(&admission, caller("a"));
    let mut gone = enter(&admission, caller("b"));
    let mut stays = enter(&admission, caller("b"));
    assert!(poll!(gone.as_mut()).is_pending());
    assert!(poll!(stays.as_mut()).is_pending());
    drop(gone);
    assert_eq!(admission.report().waiting, 1);
    drop(place);
    let place = match poll!(stays.as_mut()) {
        Poll::Ready(place) => place.unwrap(),
        Poll::Pending => panic!("its turn has come"),
    };
    // One that goes at the very moment in which it gets a place gives it on.
    let mut gone = enter(&admission, caller("b"));
    let mut last = enter(&admission, caller("b"));
    assert!(poll!(gone.as_mut()).is_pending());
    assert!(poll!(last.as_mut()).is_pending());
    drop(place);
    drop(gone);
    assert!(poll!(last.as_mut()).is_ready());
}

#[tokio::test]
async fn nobody_waits_for_longer_than_the_caller() {
    let admission = host(1, "");
    let _place = take(&admission, caller("a"));
    let until = Instant::now() + Duration::from_millis(20);
    let refusal = admission.enter(caller("a"), false, until).await.err();
    assert_eq!(refusal, Some(Refusal::Places(Whose::Host, 1)));
    assert_eq!(admission.report().waiting, 0);
    let one = Caller {
        bounds: Bounds {
            concurrency: 1,
            ..bounds()
        },
        ..caller("one")
    };
    let admission = host(8, "");
    let _place = take(&admission, one);
    let until = Instant::now() + Duration::from_millis(20);
    let refusal = admission.enter(one, false, until).await.err();
    assert_eq!(refusal, Some(Refusal::Places(Whose::Tool, 1)));
    let _more: Vec<Place> = (0..4).map(|_| take(&admission, caller("more"))).collect();
    let until = Instant::now() + Duration::from_millis(20);
    let refusal = admission.enter(caller("more"), false, until).await.err();
    assert_eq!(refusal, Some(Refusal::PlaceShare(Whose::Tool, 4)));
}

#[tokio::test]
async fn a_session_has_limits_of_its_own_and_holds_up_no_other() {
    let admission = host(64, "concurrency = 2\nqueue = 3\nquestions = 1");
    let (one, other) = (SessionId::new("one"), SessionId::new("other"));
    let of = |tool, session| Caller {
        session: Some(session),
        ..caller(tool)
    };
    let mut places: Vec<Place> = (0..2).map(|_| take(&admission, of("t", &one))).collect();
    let mut waiting: Vec<(&str, Entering<'_>)> = Vec::new();
    for _ in 0..3 {
        waiting.push(("one", enter(&admission, of("t", &one))));
        assert!(poll!(waiting.last_mut().unwrap().1.as_mut()).is_pending());
    }
    assert_eq!(
        refused(&admission, of("u", &one)),
        Refusal::Queue(Whose::Session, 3)
    );
    // The same tool runs for another session, past those that wait for their own.
    drop(take(&admission, of("t", &other)));
    assert!(woken(&mut waiting).await.is_empty());
    places.pop();
    assert_eq!(woken(&mut waiting).await.len(), 1);
    let question = admission.ask(of("t", &one)).unwrap();
    assert_eq!(
        admission.ask(of("u", &one)).err(),
        Some(Refusal::Questions(Whose::Session, 1))
    );
    drop(admission.ask(of("u", &other)).unwrap());
    drop(question);
    drop(admission.ask(of("u", &one)).unwrap());
    drop((places, waiting));
    assert_eq!(admission.report().sessions, 0);
}

#[tokio::test]
async fn questions_are_few_hold_no_place_and_are_not_asked_in_vain() {
    let admission = host(2, "");
    let tool = Caller {
        bounds: Bounds {
            concurrency: 1,
            queue: 1,
            questions: 2,
            rate: None,
        },
        ..caller("t")
    };
    let questions = [admission.ask(tool).unwrap(), admission.ask(tool).unwrap()];
    assert_eq!(
        admission.ask(tool).err(),
        Some(Refusal::Questions(Whose::Tool, 2))
    );
    assert_eq!(
        (admission.report().questions, admission.report().running),
        (2, 0)
    );
    drop(questions);
    let place = take(&admission, tool);
    assert_eq!(admission.room(tool), Ok(()));
    let mut waiting = enter(&admission, tool);
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(admission.room(tool), Err(Refusal::Queue(Whose::Tool, 1)));
    // Where somebody said yes already, the call waits all the same.
    let mut consented: BoxFuture<'_, _> =
        Box::pin(admission.enter(tool, true, Instant::now() + LATER));
    assert!(poll!(consented.as_mut()).is_pending());
    drop((place, waiting));
    assert!(poll!(consented.as_mut()).is_ready());
}

#[test]
fn every_rate_counts_and_a_refused_call_takes_from_none() {
    let rate = |text| toolcell_policy::Rate::parse(text).unwrap();
    let mut shared = SharedLimits::host();
    shared.rate = Some(rate("4/s"));
    let admission = Admission::new(&limits("rate = \"2/s\""), &shared, 8);
    let now = Instant::now();
    let own = Bounds {
        rate: Some(rate("3/s")),
        ..bounds()
    };
    let (one, other) = (SessionId::new("one"), SessionId::new("other"));
    let count = |tool, session, now| admission.count(Some((tool, own)), Some(session), now);
    assert_eq!(count("a", &one, now), Ok(()));
    assert_eq!(count("a", &one, now), Ok(()));
    let wait = Duration::from_millis(500);
    let refusal = Refusal::Rate(Whose::Session, rate("2/s"), wait);
    for _ in 0..100 {
        assert_eq!(count("a", &one, now), Err(refusal.clone()));
    }
    assert_eq!(
        refusal.to_string(),
        "the session is called too often: its limit `rate` is 2/s; try again in 1 s"
    );
    // A hundred refused calls took nothing from the tool, nor from the host.
    assert_eq!(count("a", &other, now), Ok(()));
    let refused = count("a", &other, now).unwrap_err();
    assert!(
        matches!(refused, Refusal::Rate(Whose::Tool, ..)),
        "{refused}"
    );
    assert_eq!(count("b", &other, now), Ok(()));
    // A tool that does not exist counts as well.
    let refused = admission.count(None, None, now).unwrap_err();
    assert!(
        matches!(refused, Refusal::Rate(Whose::Host, ..)),
        "{refused}"
    );
    assert_eq!(count("a", &one, now + Duration::from_secs(1)), Ok(()));
}

#[test]
fn sessions_are_forgotten_when_nothing_is_left_to_count() {
    let admission = host(8, "rate = \"60/min\"");
    let now = Instant::now();
    for n in 0..MAX_SESSIONS {
        let session = SessionId::new(&format!("session {n}"));
        assert_eq!(admission.count(None, Some(&session), now), Ok(()));
    }
    let more = SessionId::new("one more");
    assert_eq!(
        admission.count(None, Some(&more), now),
        Err(Refusal::Sessions)
    );
    let later = now + Duration::from_secs(60);
    assert_eq!(admission.count(None, Some(&more), later), Ok(()));
    assert_eq!(admission.report().sessions, 1);
}
