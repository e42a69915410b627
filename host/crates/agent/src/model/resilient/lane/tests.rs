use std::collections::BTreeSet;

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};

use super::*;
use crate::{
    model::{Counted, RateLimit},
    testing::time::VirtualTime,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn lane(settings: LimitSettings) -> (Arc<VirtualTime>, Arc<Lane>) {
    let time = VirtualTime::new();
    let lane = Lane::new(settings, time.clone());
    (time, lane)
}

fn wide() -> LimitSettings {
    LimitSettings {
        concurrency: 1_000,
        ..LimitSettings::default()
    }
}

fn place(lane: &Lane, time: &VirtualTime) -> Place {
    Place {
        ticket: lane.ticket(),
        again: false,
        longest: lane.longest_queue(),
        end: time.now() + lane.longest_queue(),
    }
}

async fn enter(lane: &Arc<Lane>, place: Place, need: Need) -> Result<Pass, Full> {
    lane.enter(place, need, &|_, _| {}).await
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input_tokens: input,
        output_tokens: output,
        ..TokenUsage::default()
    }
}

/// So many requests that all come at once and take a second each; says when each of them began, in the order in which
/// they came.
fn crowd(time: &VirtualTime, lane: &Arc<Lane>, number: usize, need: Need) -> Vec<Duration> {
    let requests: FuturesUnordered<_> = (0..number)
        .map(|at| {
            let place = place(lane, time);
            async move {
                let pass = enter(lane, place, need).await.unwrap();
                let began = time.passed();
                time.wait(secs(1)).await;
                pass.answered(&usage(need.input, need.max_output.min(1_000)));
                (at, began)
            }
        })
        .collect();
    let mut began = time.run(requests.collect::<Vec<_>>());
    began.sort_unstable();
    began.into_iter().map(|(_, began)| began).collect()
}

fn assert_in_order(began: &[Duration]) {
    assert!(began.is_sorted(), "{began:?}");
}

#[test]
fn no_more_run_than_may_and_first_comes_first() {
    let settings = LimitSettings {
        concurrency: 4,
        ..LimitSettings::default()
    };
    let (time, lane) = lane(settings);
    let began = crowd(&time, &lane, 20, Need::default());
    assert_in_order(&began);
    for (at, began) in began.iter().enumerate() {
        assert_eq!(*began, secs(at as u64 / 4), "request {at}");
    }
}

#[test]
fn requests_are_spread_over_the_minute() {
    let settings = LimitSettings {
        requests_per_minute: Some(60),
        ..wide()
    };
    let (time, lane) = lane(settings);
    let began = crowd(&time, &lane, 300, Need::default());
    assert_in_order(&began);
    for (at, first) in began.iter().enumerate() {
        let within = began[at..]
            .iter()
            .take_while(|it| **it < *first + secs(59))
            .count();
        assert!(within <= 60, "{within} from {first:?}");
    }
    // And they do not take much longer than they must.
    assert!(*began.last().unwrap() < secs(330), "{:?}", began.last());
}

#[test]
fn tokens_are_estimated_and_corrected() {
    let settings = LimitSettings {
        tokens_per_minute: Some(6_000),
        ..wide()
    };
    let (time, lane) = lane(settings);
    let need = Need {
        input: 2_000,
        max_output: 1_000,
    };
    // Two fit at once; the next ones wait for 3,000 tokens each.
    let began = crowd(&time, &lane, 4, need);
    assert_eq!(began[..2], [Duration::ZERO; 2]);
    assert!(began[2] >= secs(29) && began[3] >= secs(59), "{began:?}");

    // Of a request that used less than expected, the rest is there for the next one.
    time.pass(secs(120));
    let first = time.run(enter(
        &lane,
        place(&lane, &time),
        Need {
            input: 5_000,
            max_output: 1_000,
        },
    ));
    let next = Need {
        input: 4_000,
        max_output: 1_000,
    };
    let place = place(&lane, &time);
    let mut waiting = Box::pin(enter(&lane, place, next));
    let before = time.passed();
    assert!(waiting.as_mut().now_or_never().is_none());
    first.unwrap().answered(&usage(500, 0));
    assert!(time.run(waiting).is_ok());
    assert_eq!(time.passed(), before);
}

#[test]
fn a_large_request_is_not_overtaken_for_ever() {
    let settings = LimitSettings {
        tokens_per_minute: Some(60_000),
        ..wide()
    };
    let (time, lane) = lane(settings);
    let (small, large) = (
        Need {
            input: 10_000,
            max_output: 0,
        },
        // More than the limit itself: it goes when everything is there.
        Need {
            input: 90_000,
            max_output: 0,
        },
    );
    let needs = [small, small, large, small, small];
    let requests: FuturesUnordered<_> = needs
        .into_iter()
        .enumerate()
        .map(|(at, need)| {
            let (place, lane, time) = (place(&lane, &time), &lane, &time);
            async move {
                let pass = enter(lane, place, need).await.unwrap();
                pass.answered(&usage(need.input, 0));
                (time.passed(), at)
            }
        })
        .collect();
    let began = time.run(requests.collect::<Vec<_>>());
    let order: Vec<usize> = began.iter().map(|(_, at)| *at).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
    assert_eq!(began[2].0, secs(20));
    // It owes 30,000 tokens and the small one needs 10,000.
    assert_eq!(began[3].0, secs(20 + 40));
}

#[test]
fn one_that_gives_up_is_in_nobodys_way() {
    let settings = LimitSettings {
        concurrency: 1,
        ..LimitSettings::default()
    };
    let (time, lane) = lane(settings);
    let first = time.run(enter(&lane, place(&lane, &time), Need::default()));
    let mut given_up = Box::pin(enter(&lane, place(&lane, &time), Need::default()));
    let mut third = Box::pin(enter(&lane, place(&lane, &time), Need::default()));
    assert!(given_up.as_mut().now_or_never().is_none());
    assert!(third.as_mut().now_or_never().is_none());
    // Cancelled while it is the head of the queue, and cancelled while it runs.
    drop(given_up);
    drop(first);
    let third = time.run(third).unwrap();
    assert_eq!((time.passed(), lane.lock().running), (Duration::ZERO, 1));
    drop(third);
    assert_eq!(lane.lock().running, 0);
}

#[test]
fn the_queue_and_the_wait_end_somewhere() {
    let settings = LimitSettings {
        concurrency: 1,
        queue: 2,
        longest_queue: secs(30),
        ..LimitSettings::default()
    };
    let (time, lane) = lane(settings);
    let _running = time.run(enter(&lane, place(&lane, &time), Need::default()));
    let mut waiting: Vec<_> = (0..2)
        .map(|_| Box::pin(enter(&lane, place(&lane, &time), Need::default())))
        .collect();
    for it in &mut waiting {
        assert!(it.as_mut().now_or_never().is_none());
    }
    let full = time.run(enter(&lane, place(&lane, &time), Need::default()));
    assert_eq!(full.err(), Some(Full::Queue(2)));
    // One that was sent before has its place already.
    let again = Place {
        again: true,
        ..place(&lane, &time)
    };
    assert!(
        enter(&lane, again, Need::default())
            .now_or_never()
            .is_none()
    );

    let told: Vec<_> = waiting.into_iter().map(|it| time.run(it).err()).collect();
    let waited = |reason| Some(Full::Waited(secs(30), reason));
    assert_eq!(told, [waited(WaitReason::Concurrency); 2]);
    assert_eq!(time.passed(), secs(30));
}

#[test]
fn a_retry_keeps_its_place() {
    let settings = LimitSettings {
        concurrency: 1,
        ..LimitSettings::default()
    };
    let (time, lane) = lane(settings);
    let early = place(&lane, &time);
    let late = place(&lane, &time);
    let running = time.run(enter(&lane, place(&lane, &time), Need::default()));
    let order = Mutex::new(Vec::new());
    let one = |name, place| {
        let (lane, order) = (&lane, &order);
        async move {
            let _pass = enter(lane, place, Need::default()).await.unwrap();
            order.lock().unwrap().push(name);
        }
    };
    time.run(async {
        let free = async { drop(running) };
        // The late one queues first.
        tokio::join!(biased; one("late", late), one("early", early), free)
    });
    assert_eq!(order.into_inner().unwrap(), ["early", "late"]);
}

#[test]
fn a_pause_holds_everybody() {
    let (time, lane) = lane(wide());
    lane.pause(secs(10));
    lane.pause(secs(4));
    let told = Mutex::new(BTreeSet::new());
    let tell = |reason: WaitReason, time| {
        told.lock().unwrap().insert((reason.name(), time));
    };
    let place = place(&lane, &time);
    let entered = time.run(lane.enter(place, Need::default(), &tell));
    assert!(entered.is_ok());
    assert_eq!(time.passed(), secs(10));
    let told = told.into_inner().unwrap();
    assert_eq!(told, BTreeSet::from([("paused", Some(secs(10)))]));
}

#[test]
fn refusals_halve_the_pace_once_and_answers_bring_it_back() {
    let (time, lane) = lane(LimitSettings::default());
    let run = || {
        time.run(enter(&lane, place(&lane, &time), Need::default()))
            .unwrap()
    };
    let window = || lane.lock().window;
    let passes: Vec<Pass> = (0..4).map(|_| run()).collect();
    time.pass(secs(1));
    // All four were sent before anybody knew.
    passes.into_iter().for_each(Pass::refused);
    assert_eq!((window(), lane.lock().pace), (4.0, 0.5));
    for expected in [2.0, 1.0, 1.0, 1.0] {
        time.pass(secs(1));
        run().refused();
        assert_eq!(window(), expected);
    }
    assert_eq!(lane.lock().pace, 1.0 / 16.0);
    for _ in 0..100 {
        run().answered(&usage(1, 1));
    }
    assert_eq!((window(), lane.lock().pace), (8.0, 1.0));
}

#[test]
fn the_servers_limits_are_learned() {
    let (time, lane) = lane(wide());
    let mut limits = RateLimits::default();
    let told = |limit, remaining| RateLimit {
        limit: Some(limit),
        remaining: Some(remaining),
        reset: None,
    };
    limits.set(Counted::Requests, told(60, 2));
    lane.learn(&limits);
    let began = crowd(&time, &lane, 4, Need::default());
    assert_eq!(began, [secs(0), secs(0), secs(1), secs(2)]);
    // It has more now.
    limits.set(Counted::Requests, told(6_000, 5_000));
    lane.learn(&limits);
    let before = time.passed();
    let began = crowd(&time, &lane, 100, Need::default());
    assert_eq!(began[99], before);
    // What it counts of input, without what it has cached.
    limits.set(Counted::InputTokens, told(6_000, 6_000));
    lane.learn(&limits);
    let need = Need {
        input: 6_000,
        max_output: 0,
    };
    let first = time.run(enter(&lane, place(&lane, &time), need)).unwrap();
    first.answered(&TokenUsage {
        cache_read_input_tokens: 5_900,
        ..usage(100, 0)
    });
    let before = time.passed();
    let need = Need {
        input: 5_900,
        max_output: 0,
    };
    drop(time.run(enter(&lane, place(&lane, &time), need)));
    assert_eq!(time.passed(), before);
}

#[test]
fn a_server_that_only_says_when_is_believed() {
    let (time, lane) = lane(wide());
    let mut limits = RateLimits::default();
    let none_left = RateLimit {
        limit: None,
        remaining: Some(0),
        reset: Some(secs(12)),
    };
    limits.set(Counted::Tokens, none_left);
    lane.learn(&limits);
    drop(time.run(enter(&lane, place(&lane, &time), Need::default())));
    assert_eq!(time.passed(), secs(12));
    // But not for ever.
    let never = RateLimit {
        reset: Some(secs(1_000_000_000)),
        ..none_left
    };
    limits.set(Counted::Tokens, never);
    lane.learn(&limits);
    drop(time.run(enter(&lane, place(&lane, &time), Need::default())));
    assert_eq!(time.passed(), secs(12 + 60));
}
