//! Lines for the operator's log. They are never shown to the model.
//!
//! ```no_run
//! let url = "https://example.com";
//! toolcell_guest::log::info!("fetching {url}");
//! ```

use crate::bindings::toolcell::tool::log;
pub use log::Level;

/// Writes one line. All lines of a call together are bounded by the operator's limit `log`.
pub fn write(level: Level, line: &str) {
    log::log(level, line);
}

/// Writes a line of detail that is seldom wanted. Takes what [`format!`] takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($argument:tt)+) => {
        $crate::log::write($crate::log::Level::Trace, &::std::format!($($argument)+))
    };
}

/// Writes a line that helps to find a fault. Takes what [`format!`] takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($argument:tt)+) => {
        $crate::log::write($crate::log::Level::Debug, &::std::format!($($argument)+))
    };
}

/// Writes a line about what the tool does. Takes what [`format!`] takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($argument:tt)+) => {
        $crate::log::write($crate::log::Level::Info, &::std::format!($($argument)+))
    };
}

/// Writes a line about something unexpected that was dealt with. Takes what [`format!`] takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($argument:tt)+) => {
        $crate::log::write($crate::log::Level::Warn, &::std::format!($($argument)+))
    };
}

/// Writes a line about something that went wrong. Takes what [`format!`] takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($argument:tt)+) => {
        $crate::log::write($crate::log::Level::Error, &::std::format!($($argument)+))
    };
}

#[doc(inline)]
pub use {
    crate::__log_debug as debug, crate::__log_error as error, crate::__log_info as info,
    crate::__log_trace as trace, crate::__log_warn as warn,
};
