//! Brave: `GET /res/v1/web/search`. The host adds the key.

use toolcell_guest::serde_json::Value;
use toolcell_guest::{Error, ErrorKind, Result, secrets};

use crate::{Answer, Found, Freshness, Question, Safe, answer};

/// Asks Brave.
pub(crate) fn search(base: &str, question: &Question) -> Result<Answer> {
    let mut request = answer::request(format!("{base}/res/v1/web/search"));
    for (name, value) in parameters(question) {
        request = request.query(name, value);
    }
    let response = request.send()?;
    let value = answer::read(&response, hint).map_err(|error| key(response.status(), error))?;
    Ok(Answer {
        engine: "brave".to_owned(),
        results: results(&value)?,
        more: value
            .pointer("/query/more_results_available")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
    })
}

fn parameters(question: &Question) -> Vec<(&'static str, String)> {
    let safe = match question.safe {
        Safe::Off => "off",
        Safe::Moderate => "moderate",
        Safe::Strict => "strict",
    };
    let mut parameters = vec![
        ("q", question.query.clone()),
        ("count", question.count.to_string()),
        ("offset", question.page.saturating_sub(1).to_string()),
        ("safesearch", safe.to_owned()),
        ("text_decorations", "false".to_owned()),
        ("result_filter", "web".to_owned()),
    ];
    if let Some(language) = &question.language {
        let (language, country) = match language.split_once('-') {
            Some((language, country)) => (language, Some(country)),
            None => (language.as_str(), None),
        };
        parameters.push(("search_lang", language.to_ascii_lowercase()));
        if let Some(country) = country.filter(|country| country.len() == 2) {
            parameters.push(("country", country.to_ascii_uppercase()));
        }
    }
    if let Some(freshness) = question.freshness {
        let range = match freshness {
            Freshness::Day => "pd",
            Freshness::Week => "pw",
            Freshness::Month => "pm",
            Freshness::Year => "py",
        };
        parameters.push(("freshness", range.to_owned()));
    }
    parameters
}

fn hint(status: u16) -> Option<String> {
    let refused = matches!(status, 401 | 403 | 422);
    (refused && !secrets::exists("BRAVE_API_KEY"))
        .then(|| "no BRAVE_API_KEY was granted to this tool".to_owned())
}

/// Brave answers 403 or 422 for a key that it does not know.
fn key(status: u16, mut error: Error) -> Error {
    let about_key = error
        .message
        .to_ascii_lowercase()
        .contains("subscription token");
    if status == 403 || status == 422 && (about_key || !secrets::exists("BRAVE_API_KEY")) {
        error.kind = ErrorKind::AuthRequired;
    }
    error
}

fn results(value: &Value) -> Result<Vec<Found>> {
    // Without a single result there is no `web` at all.
    if value.get("web").is_none() && value.get("query").is_some() {
        return Ok(Vec::new());
    }
    let list = answer::list(value, "/web/results")?.iter();
    let found = list.filter_map(|result| {
        let published = match answer::text(result, "page_age") {
            "" => answer::text(result, "age"),
            date => date,
        };
        answer::found(
            answer::text(result, "url"),
            answer::text(result, "title"),
            answer::text(result, "description"),
            Some(published),
        )
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use toolcell_guest::serde_json::json;
    use toolcell_guest::{Error, ErrorKind};

    use super::{key, parameters, results};
    use crate::{Freshness, Question, Safe};

    #[test]
    fn a_question_becomes_parameters() {
        let question = Question {
            query: "a b".to_owned(),
            count: 5,
            page: 3,
            language: Some("PT-br".to_owned()),
            safe: Safe::Off,
            freshness: Some(Freshness::Year),
        };
        let given: Vec<String> = parameters(&question)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            given.join("&"),
            "q=a b&count=5&offset=2&safesearch=off&text_decorations=false&result_filter=web\
             &search_lang=pt&country=BR&freshness=py"
        );
    }

    #[test]
    fn results_are_read() {
        let value = json!({ "query": {}, "web": { "results": [
            { "url": "https://h/1", "title": "A &amp; B", "description": "x", "age": "2 days ago" },
            { "url": "https://h/2", "title": "C", "page_age": "2026-01-02T03:04:05", "age": "y" },
            { "url": "javascript:x" },
        ] } });
        let found = results(&value).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].title, "A & B");
        assert_eq!(found[0].published.as_deref(), Some("2 days ago"));
        assert_eq!(found[1].published.as_deref(), Some("2026-01-02T03:04:05"));
        assert_eq!(results(&json!({ "query": {} })).unwrap(), []);
        assert!(results(&json!({})).is_err());
    }

    #[test]
    fn a_key_that_is_not_known_is_a_login() {
        let error = |words| Error::invalid_input(words);
        // There is no key in a test.
        assert_eq!(key(422, error("x")).kind, ErrorKind::AuthRequired);
        assert_eq!(key(403, error("x")).kind, ErrorKind::AuthRequired);
        assert_eq!(key(400, error("x")).kind, ErrorKind::InvalidInput);
    }
}
