//! `calc`: exact arithmetic.
//!
//! Text becomes tokens (`token`), tokens are evaluated while they are parsed (`parser`) with
//! numbers that stay exact as long as they can (`number`, `functions`), and the result is written
//! so that a reader sees whether it is exact (`print`).

mod functions;
mod limits;
mod number;
mod parser;
mod print;
mod token;

#[cfg(test)]
mod tests;

use toolcell_guest::{Result, package, tool};

package! {
    name = "calc",
    tools = [calc],
}

/// Calculates an arithmetic expression. Use it for every calculation whose result matters.
///
/// Fractions, decimals and whole numbers are exact, however large: `0.1 + 0.2` is `0.3`. What
/// cannot be written out is marked: `1/3 ≈ 0.333333333333333333333333333333` is an exact fraction
/// with a rounded decimal behind it, and `≈ 1.4142135623731` alone is only close (roots, logarithms,
/// angles; 14 digits).
///
/// - `+ - * /`, `//` division rounded down, `%` its remainder, `^` or `**` power, `!` factorial,
///   brackets. There are no percentages: write `80 * 12/100`.
/// - `abs ceil floor round(x, digits) sqrt exp ln log(x, base) log2 log10 sin cos tan asin acos
///   atan radians degrees min max sum mean gcd lcm choose(n, k)`; angles are radians.
/// - `pi`, `e`; `1e9`, `1_000`, `0xff`, `0b101`, `0o17`. No variables, no units.
#[tool(read_only, idempotent)]
pub fn calc(
    /// What to calculate, for example `(3 + 4) * 2^10 / 7`; at most 1000 characters.
    expression: String,
) -> Result<String> {
    parser::evaluate(&expression).map(|number| print::text(&number))
}
