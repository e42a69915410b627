//! The ids that one model has at several places.

/// The ids under which the table may have a model, the most exact first: the id itself, that of the Messages API where it is
/// one of a cloud, and that without its date.
pub(super) fn forms(id: &str) -> Vec<&str> {
    let mut forms = vec![id];
    let plain = of_cloud(id).unwrap_or(id);
    forms.push(plain);
    forms.extend(undated(plain));
    forms.dedup();
    forms
}

/// The id of the Messages API in one of Amazon Bedrock or Google Vertex AI.
fn of_cloud(id: &str) -> Option<&str> {
    // The ARN of an inference profile ends with the profile's id.
    let id = match id.strip_prefix("arn:") {
        Some(arn) => arn.rsplit('/').next()?,
        None => id,
    };
    // `eu.anthropic.claude-…`: where it may be answered comes first.
    let id = match id.split_once("anthropic.") {
        Some(("", rest)) => rest,
        Some((region, rest)) if is_region(region) => rest,
        _ => id,
    };
    let id = id.split('@').next()?;
    let id = unversioned(id).unwrap_or(id);
    id.starts_with("claude-").then_some(id)
}

fn is_region(text: &str) -> bool {
    text.strip_suffix('.').is_some_and(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
}

/// Without `-v1:0` or `-v1` at the end.
fn unversioned(id: &str) -> Option<&str> {
    let (name, version) = id.rsplit_once("-v")?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (major, minor) = version.split_once(':').unwrap_or((version, "0"));
    (number(major) && number(minor)).then_some(name)
}

/// Without a date of eight digits at the end.
fn undated(id: &str) -> Option<&str> {
    let (name, date) = id.rsplit_once('-')?;
    (date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_id_anywhere() {
        for id in [
            "claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-v1",
            "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us-gov.anthropic.claude-haiku-4-5",
            "global.anthropic.claude-haiku-4-5-20251001-v2:13",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-haiku-4-5",
        ] {
            assert_eq!(forms(id).last(), Some(&"claude-haiku-4-5"), "{id}");
            assert_eq!(forms(id).first(), Some(&id));
        }
    }

    #[test]
    fn what_is_another_model_stays_one() {
        for id in [
            "gpt-6",
            "x.anthropic2.claude-haiku-4-5",
            "evil/anthropic.claude-haiku-4-5",
            "anthropic.titan-v1:0",
            "mistral.claude-v1:0",
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc",
            "claude-haiku-4-5-2025100",
            "",
        ] {
            assert_eq!(forms(id), [id], "{id}");
        }
        assert_eq!(forms("gpt-6-20260101"), ["gpt-6-20260101", "gpt-6"]);
    }
}
