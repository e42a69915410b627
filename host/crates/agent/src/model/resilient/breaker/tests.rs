use super::*;
use crate::testing::time::VirtualTime;

const OPEN: Duration = Duration::from_secs(30);
const FAILED: Health = Health::Failed(None);

fn circuit(failures: u32) -> Circuit {
    Circuit {
        settings: BreakerSettings {
            failures,
            open: OPEN,
        },
        failures: 0,
        until: None,
        probing: false,
    }
}

/// One request after the other, from a breaker that lets them pass.
fn fail(circuit: &mut Circuit, times: u32, now: Instant) {
    for _ in 0..times {
        let probe = circuit.admit(now).unwrap();
        circuit.end(probe, FAILED, now);
    }
}

#[test]
fn failures_in_a_row_open_it() {
    let now = Instant::now();
    let mut circuit = circuit(3);
    fail(&mut circuit, 2, now);
    circuit.end(false, Health::Alive, now);
    fail(&mut circuit, 2, now);
    assert_eq!(circuit.state(now), BreakerState::Closed);
    // What taught nothing counts neither way.
    circuit.end(false, Health::Unknown, now);
    fail(&mut circuit, 1, now);
    assert_eq!(circuit.state(now), BreakerState::Open);
    let later = now + Duration::from_secs(10);
    assert_eq!(
        circuit.admit(later),
        Err(Refused {
            left: Duration::from_secs(20),
            failures: 3
        })
    );
}

#[test]
fn one_request_tries_and_decides() {
    let start = Instant::now();
    let mut circuit = circuit(1);
    fail(&mut circuit, 1, start);
    let now = start + OPEN;
    assert_eq!(circuit.state(now), BreakerState::HalfOpen);
    assert_eq!(circuit.admit(now), Ok(true));
    // Everybody else waits for it.
    let waiting = Refused {
        left: Duration::ZERO,
        failures: 1,
    };
    assert_eq!(circuit.admit(now), Err(waiting));
    // It fails: the breaker is open for as long again.
    circuit.end(true, FAILED, now);
    assert_eq!(circuit.state(now + OPEN / 2), BreakerState::Open);
    // The next one is given up: another may try at once.
    let now = now + OPEN;
    assert_eq!(circuit.admit(now), Ok(true));
    circuit.end(true, Health::Unknown, now);
    assert_eq!(circuit.admit(now), Ok(true));
    circuit.end(true, Health::Alive, now);
    assert_eq!(circuit.state(now), BreakerState::Closed);
    assert_eq!(circuit.admit(now), Ok(false));
    assert_eq!(circuit.failures, 0);
}

#[test]
fn requests_from_before_it_opened_change_nothing() {
    let now = Instant::now();
    let mut circuit = circuit(2);
    let early = circuit.admit(now).unwrap();
    fail(&mut circuit, 2, now);
    let until = circuit.until;
    circuit.end(early, FAILED, now + OPEN / 2);
    assert_eq!((circuit.until, circuit.failures), (until, 2));
    circuit.end(early, Health::Alive, now + OPEN / 2);
    assert_eq!(circuit.state(now + OPEN / 2), BreakerState::Open);
}

#[test]
fn a_server_may_ask_for_more_time() {
    let now = Instant::now();
    let mut circuit = circuit(1);
    circuit.end(false, Health::Failed(Some(OPEN * 2)), now);
    assert_eq!(circuit.state(now + OPEN), BreakerState::Open);
    assert_eq!(circuit.state(now + OPEN * 2), BreakerState::HalfOpen);
}

#[test]
fn it_can_be_turned_off() {
    let now = Instant::now();
    let mut circuit = circuit(0);
    fail(&mut circuit, 1000, now);
    assert_eq!(circuit.state(now), BreakerState::Closed);
}

fn shared() -> (Arc<VirtualTime>, Arc<Breaker>) {
    let time = VirtualTime::new();
    let settings = BreakerSettings {
        failures: 1,
        open: OPEN,
    };
    let breaker = Breaker::new(settings, time.clone());
    breaker.admit().unwrap().end(FAILED);
    (time, breaker)
}

#[test]
fn many_requests_share_one() {
    let (time, breaker) = shared();
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(breaker.look().is_err() && breaker.admit().is_err());
    time.pass(OPEN);
    assert!(breaker.look().is_ok());
    let probe = breaker.admit().unwrap();
    assert!(breaker.look().is_err());
    // Whoever waits hears of it at once.
    let end = time.now() + OPEN;
    let waited = time.run(async {
        let answered = async {
            time.wait(Duration::from_secs(3)).await;
            probe.end(Health::Alive);
        };
        tokio::join!(breaker.wait(end, &|_| {}), answered).0
    });
    assert_eq!(
        (waited, time.passed()),
        (Ok(()), OPEN + Duration::from_secs(3))
    );
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_wait_that_cannot_help_is_none() {
    let (time, breaker) = shared();
    let end = time.now() + OPEN / 2;
    let refused = time
        .run(breaker.wait(end, &|_| panic!("waits")))
        .unwrap_err();
    assert_eq!((refused.left, time.passed()), (OPEN, Duration::ZERO));
    // One that can is told of, and ends with the breaker's time.
    let told = Mutex::new(Vec::new());
    let tell = |left| told.lock().unwrap().push(left);
    let end = time.now() + OPEN;
    assert_eq!(time.run(breaker.wait(end, &tell)), Ok(()));
    assert_eq!(
        (told.into_inner().unwrap(), time.passed()),
        (vec![OPEN], OPEN)
    );
    // While one tries for too long, the wait ends as well.
    let _probe = breaker.admit().unwrap();
    let end = time.now() + OPEN;
    assert!(time.run(breaker.wait(end, &|_| {})).is_err());
    assert_eq!(time.now(), end);
}
