//! `toolcell models list`.

use serde_json::{Value, json};
use toolcell_agent::{
    Catalog,
    catalog::{Band, CatalogModel},
    model::ListedModel,
};
use toolcell_policy::{ModelApi, ProviderSettings};

use crate::{
    app::Outcome,
    args::{CatalogOptions, PolicyOptions},
    budgets,
    dirs::Dirs,
    exit,
    failure::Failure,
    models::{KeyState, Models, catalog},
    output, policies,
    style::{self, paint},
};

/// What a server said of its models.
type Offered = (String, Result<Vec<ListedModel>, Failure>);

pub(super) async fn list(
    online: bool,
    options: &CatalogOptions,
    policy: &PolicyOptions,
) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(policy, &dirs)?;
    let models = Models::new(&in_force.layers, &dirs);
    let catalog = catalog(options, &in_force.layers.model())?;
    let today = budgets::day(budgets::unix_ms());
    let mut providers = Vec::new();
    for provider in models.providers() {
        let key = models.key_state(&provider).await;
        providers.push((provider, key));
    }
    let mut offered: Vec<Offered> = Vec::new();
    if online {
        for (provider, key) in &providers {
            // Only this API has a list that says what a model can do.
            let asks = provider.api == ModelApi::Anthropic && !matches!(key, KeyState::Absent(_));
            if asks {
                offered.push((provider.name.clone(), ask(&models, provider).await));
            }
        }
    }
    let value = json!({
        "as_of": catalog.as_of(),
        "unit": "USD per million tokens",
        "models": catalog.models(Some(&today)).map(|it| model_json(&it)).collect::<Vec<_>>(),
        "providers": providers.iter().map(|(it, key)| provider_json(it, key)).collect::<Vec<_>>(),
        "online": online.then(|| offered.iter().map(offered_json).collect::<Vec<_>>()),
    });
    output::answer(value, |_| human(&catalog, &today, &providers, &offered));
    Ok(exit::OK)
}

async fn ask(models: &Models, provider: &ProviderSettings) -> Result<Vec<ListedModel>, Failure> {
    // Which model is named makes no difference to the list.
    let client = models.anthropic("list", provider).await?;
    client
        .models()
        .await
        .map_err(|error| Failure::new(error.code(), error.to_string()))
}

fn model_json(model: &CatalogModel<'_>) -> Value {
    json!({
        "names": model.names,
        "info": model.info,
        "prices": model.price.as_ref().map(|price| price.bands()),
    })
}

fn provider_json(provider: &ProviderSettings, key: &KeyState) -> Value {
    json!({
        "name": provider.name,
        "api": provider.api.name(),
        "url": provider.url,
        "key": key.word(),
        "from": key.from(),
        "why": key.why(),
        "rule": provider.rule.is_written().then(|| provider.rule.to_string()),
    })
}

fn offered_json((name, answer): &Offered) -> Value {
    match answer {
        Ok(models) => json!({ "provider": name, "models": models }),
        Err(failure) => json!({ "provider": name, "error": failure.to_json() }),
    }
}

fn human(
    catalog: &Catalog,
    today: &str,
    providers: &[(ProviderSettings, KeyState)],
    offered: &[Offered],
) -> String {
    let title = format!(
        "{:<24} {:>8} {:>8}  US dollars for a million tokens in / out",
        "model", "context", "answer"
    );
    let mut text = format!("{}\n", paint(style::BOLD, title));
    for model in catalog.models(Some(today)) {
        let tokens = |number: Option<u64>| number.map_or("?".to_owned(), short);
        let gone = model.info.retires;
        let gone = gone.map_or(String::new(), |day| format!("; goes on {day}"));
        for name in model.names {
            text.push_str(&format!(
                "{:<24} {:>8} {:>8}  {}{gone}\n",
                style::one_line(name, 60),
                tokens(model.info.context_tokens),
                tokens(model.info.output_tokens),
                price(model.price.as_ref().map_or(&[], |it| it.bands())),
            ));
        }
    }
    text.push_str(&format!("\n{}\n", paint(style::BOLD, "providers")));
    for (provider, key) in providers {
        let place = provider.url.as_deref().unwrap_or("its usual place");
        let api = provider.api.name();
        let api = if api == provider.name { "" } else { api };
        let line = format!("{:<12} {api:<10} {place}; {}", provider.name, key.told());
        text.push_str(&format!("{}\n", style::one_line(line.trim(), 160)));
    }
    for (name, answer) in offered {
        text.push_str(&format!(
            "\n{}\n",
            paint(style::BOLD, format_args!("{name} offers"))
        ));
        match answer {
            Ok(models) => models.iter().for_each(|it| text.push_str(&offer(it))),
            Err(failure) => {
                text.push_str(&format!("  {}\n", style::one_line(&failure.message, 300)));
            }
        }
    }
    text
}

fn offer(model: &ListedModel) -> String {
    let tokens = |number: Option<u64>| number.map_or("?".to_owned(), short);
    let gone = match (model.lifecycle.as_deref(), &model.retires_at) {
        (Some("active") | None, None) => String::new(),
        (Some(state), Some(day)) => format!("  {state}, goes on {day:.10}"),
        (Some(state), None) => format!("  {state}"),
        (None, Some(day)) => format!("  goes on {day:.10}"),
    };
    let line = format!(
        "  {:<24} {:>8} {:>8}{gone}",
        model.id,
        tokens(model.max_input_tokens),
        tokens(model.max_tokens)
    );
    format!(
        "{}\n",
        style::one_line(&format!(".{line}"), 120).replacen('.', "", 1)
    )
}

/// `1M`, `128K`, or the number itself.
fn short(number: u64) -> String {
    match number {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n >= 1000 && n % 1000 == 0 => format!("{}K", n / 1000),
        n => n.to_string(),
    }
}

fn price(bands: &[Band]) -> String {
    if bands.is_empty() {
        return "unknown".to_owned();
    }
    let told = bands.iter().map(|band| {
        let upto = band
            .up_to_prompt_tokens
            .map_or(String::new(), |most| format!(" up to {}", short(most)));
        let cached = band
            .cache_read
            .map_or(String::new(), |read| format!(" (cached {read})"));
        format!("{} / {}{cached}{upto}", band.input, band.output)
    });
    told.collect::<Vec<_>>().join(", then ")
}
