//! SearXNG: `GET /search?q=..&format=json`.

use toolcell_guest::serde_json::Value;
use toolcell_guest::{Result, secrets};

use crate::{Answer, Found, Freshness, Question, Safe, answer};

/// Asks a SearXNG.
pub(crate) fn search(base: &str, question: &Question) -> Result<Answer> {
    let mut request = answer::request(format!("{base}/search"));
    for (name, value) in parameters(question) {
        request = request.query(name, value);
    }
    let value = answer::read(&request.send()?, hint)?;
    let results = results(&value)?;
    Ok(page(results, question))
}

fn parameters(question: &Question) -> Vec<(&'static str, String)> {
    let safe = match question.safe {
        Safe::Off => "0",
        Safe::Moderate => "1",
        Safe::Strict => "2",
    };
    let mut parameters = vec![
        ("q", question.query.clone()),
        ("format", "json".to_owned()),
        ("pageno", question.page.to_string()),
        ("safesearch", safe.to_owned()),
    ];
    if let Some(language) = &question.language {
        parameters.push(("language", language.clone()));
    }
    if let Some(freshness) = question.freshness {
        let range = match freshness {
            Freshness::Day => "day",
            Freshness::Week => "week",
            Freshness::Month => "month",
            Freshness::Year => "year",
        };
        parameters.push(("time_range", range.to_owned()));
    }
    parameters
}

fn hint(status: u16) -> Option<String> {
    match status {
        401 if !secrets::exists("SEARXNG_TOKEN") => {
            Some("no SEARXNG_TOKEN was granted to this tool".to_owned())
        }
        403 => Some(
            "this instance may answer no JSON: its settings have to list `json` under `search: formats`"
                .to_owned(),
        ),
        _ => None,
    }
}

fn results(value: &Value) -> Result<Vec<Found>> {
    let list = answer::list(value, "/results")?.iter();
    let found = list.filter_map(|result| {
        let published = match answer::text(result, "publishedDate") {
            "" => answer::text(result, "pubdate"),
            date => date,
        };
        answer::found(
            answer::text(result, "url"),
            answer::text(result, "title"),
            answer::text(result, "content"),
            Some(published),
        )
    });
    Ok(found.collect())
}

/// A SearXNG gives as many results as it has: the rest of a page is not lost when fewer are wanted, but
/// there is no way to ask for it, so `count` only cuts.
fn page(mut results: Vec<Found>, question: &Question) -> Answer {
    let more = !results.is_empty();
    results.truncate(question.count as usize);
    Answer {
        engine: "searxng".to_owned(),
        results,
        more,
    }
}

#[cfg(test)]
mod tests {
    use toolcell_guest::serde_json::json;

    use super::{page, parameters, results};
    use crate::{Freshness, Question, Safe};

    fn question() -> Question {
        Question {
            query: "a b".to_owned(),
            count: 1,
            page: 3,
            language: Some("pt-BR".to_owned()),
            safe: Safe::Strict,
            freshness: Some(Freshness::Week),
        }
    }

    #[test]
    fn a_question_becomes_parameters() {
        let given: Vec<String> = parameters(&question())
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            given.join("&"),
            "q=a b&format=json&pageno=3&safesearch=2&language=pt-BR&time_range=week"
        );
    }

    #[test]
    fn results_are_read_and_cut() {
        let value = json!({ "results": [
            { "url": "https://h/1", "title": "One", "content": "<b>x</b>", "publishedDate": "2026-01-02T00:00:00" },
            { "url": "https://h/2", "title": null, "publishedDate": null },
            { "title": "no address" },
            7,
        ] });
        let found = results(&value).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].published.as_deref(), Some("2026-01-02T00:00:00"));
        assert_eq!(found[1].title, "https://h/2");
        let answer = page(found, &question());
        assert_eq!((answer.results.len(), answer.more), (1, true));
        assert!(!page(Vec::new(), &question()).more);
        assert!(results(&json!({ "error": "x" })).is_err());
    }
}
