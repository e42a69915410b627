use futures_util::future::BoxFuture;

use super::*;
use crate::model::{Batch, BatchLine, More};

/// A provider that takes little at once.
struct Small(BatchLimits);

impl Batches for Small {
    fn certain(&self) -> bool {
        true
    }

    fn limits(&self) -> BatchLimits {
        self.0
    }

    fn entry(&self, id: &str, request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
        let text = serde_json::to_vec(&request.messages).unwrap();
        Ok([id.as_bytes(), &text].concat())
    }

    fn submit<'a>(&'a self, _: &'a [Vec<u8>]) -> BoxFuture<'a, Result<Batch, ModelError>> {
        unused()
    }

    fn status<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>> {
        unused()
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Batch>, ModelError>> {
        unused()
    }

    fn newer<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Vec<Batch>, ModelError>> {
        unused()
    }

    fn results<'a>(
        &'a self,
        _: &'a str,
        _: &'a mut (dyn FnMut(BatchLine) -> More + Send),
    ) -> BoxFuture<'a, Result<(), ModelError>> {
        unused()
    }

    fn cancel<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>> {
        unused()
    }
}

fn unused<'a, T: Send + Sync + 'a>() -> BoxFuture<'a, Result<T, ModelError>> {
    Box::pin(std::future::ready(Err(ModelError::Truncated)))
}

fn sizes(requests: usize, bytes: usize, lengths: &[usize]) -> (Vec<usize>, usize) {
    let tasks: Vec<Task> = lengths
        .iter()
        .enumerate()
        .map(|(at, length)| Task {
            id: format!("t{at}"),
            task: "x".repeat(*length),
            system: None,
            model: None,
            max_tokens: None,
        })
        .collect();
    let options = TurnOptions::default();
    let wanted: Vec<_> = tasks
        .iter()
        .map(|task| (task, request(task, "m", 10, &options)))
        .collect();
    let mut refused = 0;
    let small = Small(BatchLimits { requests, bytes });
    let parts = divide(&wanted, "p:m", &small, |_, _| refused += 1);
    // What is sent of a part is never too large.
    for part in &parts {
        let entries = part.tasks.iter().enumerate().map(|(number, id)| {
            let (_, request) = wanted.iter().find(|(task, _)| task.id == *id).unwrap();
            small
                .entry(&request_id(&part.prefix, number), request)
                .unwrap()
        });
        let sent: usize = entries.map(|entry| entry.len() + 1).sum();
        assert!(sent + AROUND <= bytes, "{sent} of {bytes}");
    }
    (parts.iter().map(|part| part.tasks.len()).collect(), refused)
}

#[test]
fn a_part_has_as_much_as_the_provider_takes() {
    assert_eq!(sizes(3, 1 << 20, &[1; 7]), (vec![3, 3, 1], 0));
    let (parts, refused) = sizes(100, 4_000, &[1_500, 1_500, 1_500, 9_000, 10]);
    assert_eq!((parts.iter().sum::<usize>(), refused), (4, 1));
    assert!(parts.len() >= 2, "{parts:?}");
    assert_eq!(sizes(100, 1_000, &[]), (vec![], 0));
}

#[test]
fn a_request_belongs_to_one_task_of_one_part() {
    let mut part = part("p:m");
    part.tasks = vec!["a".into(), "b".into()];
    let id = request_id(&part.prefix, 1);
    assert_eq!(task_of(&part, &id), Some("b"));
    let wrong = [
        request_id(&part.prefix, 2),
        request_id("other", 1),
        format!("{}-01", part.prefix),
        format!("{}-+1", part.prefix),
        part.prefix.clone(),
        String::new(),
    ];
    for id in wrong {
        assert_eq!(task_of(&part, &id), None, "{id}");
    }
    assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
}
