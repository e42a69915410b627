//! Credentials that a tool uses and never sees.
//!
//! A package asks for one by its name and its destination; an operator binds a value to both. The host
//! puts it into requests to that destination after the tool has let go of them, and takes it out of what
//! comes back. So there is nothing here that takes or returns a value.
//!
//! ```
//! # use toolcell_guest::tool;
//! toolcell_guest::package! {
//!     name = "weather",
//!     description = "Weather by city",
//!     tools = [forecast],
//!     request = {
//!         net = [{ to = "https://api.example.com", methods = ["GET"], why = "fetch forecasts" }],
//!         secrets = [{
//!             name = "WEATHER_KEY",
//!             to = "https://api.example.com",
//!             header = "X-Api-Key: {}",
//!             why = "without a key there are ten forecasts a day",
//!         }],
//!     },
//! }
//! # /// Tells the weather.
//! # #[tool] fn forecast() -> String { String::new() }
//! # fn main() {}
//! ```

/// Whether the credential `name`, which this package requested, was granted and has a value. Outside a
/// sandbox there is none.
///
/// Ask only where it makes a difference, for example to explain an error: a request is sent in the same
/// way with a credential and without.
///
/// ```
/// use toolcell_guest::{Error, secrets};
///
/// fn explain(error: Error) -> Error {
///     match secrets::exists("WEATHER_KEY") {
///         true => error,
///         false => error.context("no WEATHER_KEY was granted"),
///     }
/// }
/// # assert!(explain(Error::failed("x")).message.starts_with("no WEATHER_KEY"));
/// ```
#[must_use]
pub fn exists(name: &str) -> bool {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::toolcell::tool::secrets::exists(name)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = name;
        false
    }
}
