use toolcell_guest::ErrorKind;

use super::calc;

#[track_caller]
fn gives(expression: &str, expected: &str) {
    assert_eq!(
        calc(expression.to_owned()).unwrap(),
        expected,
        "{expression}"
    );
}

#[track_caller]
fn fails(expression: &str, kind: ErrorKind, message: &str) {
    let error = calc(expression.to_owned()).unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (kind, message),
        "{expression}"
    );
}

#[test]
fn decimals_and_fractions_are_exact() {
    gives("0.1 + 0.2", "0.3");
    gives("1/3", "1/3 ≈ 0.333333333333333333333333333333");
    gives("1/3 + 2/3", "1");
    gives("-1/8", "-0.125");
    gives("-1/3/10^1000", &format!("≈ -3.{}e-1001", "3".repeat(29)));
    gives("2^200/3^300", "≈ 1.17387733357109437737346448693e-83");
    gives("1e-3 * 1_000", "1");
    gives("200/3", "200/3 ≈ 66.66666666666666666666666666667");
    gives(
        "2^200",
        "1606938044258990275541962092341162602522202993782792835301376",
    );
}

#[test]
fn operators_bind_as_in_school() {
    gives("1 + 2 * 3", "7");
    gives("(1 + 2) * 3", "9");
    gives("2^3^2", "512");
    gives("-2^2", "-4");
    gives("(-2)**2", "4");
    gives("2^-2", "0.25");
    gives("10 - 4 - 3", "3");
    gives("3!!", "720");
    gives("2 * 3!", "12");
    gives("8 ÷ 2 × −3", "-12");
}

#[test]
fn division_rounds_down_like_its_remainder() {
    gives("7 // 2", "3");
    gives("-7 // 2", "-4");
    gives("-7 % 3", "2");
    gives("5.5 % 2", "1.5");
}

#[test]
fn functions() {
    gives("sqrt(16/9)", "4/3 ≈ 1.333333333333333333333333333333");
    gives("sqrt(2)", "≈ 1.4142135623731");
    gives("9 ^ 0.5", "3");
    gives("log2(8) + log(1000) + log(81, 3)", "10");
    gives("round(2.345, 2)", "2.35");
    gives("round(-2.5)", "-3");
    gives("round(1234, -2)", "1200");
    gives("floor(-0.5) + ceil(0.5)", "0");
    gives("max(1, 5/2, 2) - min(3, 1)", "1.5");
    gives("mean(1, 2, 3, 4) + sum(1, 2)", "5.5");
    gives("gcd(12, 18) + lcm(4, 6)", "18");
    gives("choose(49, 6)", "13983816");
    gives("abs(-3)", "3");
    gives("sin(radians(30))", "≈ 0.5");
    gives("cos(pi)", "≈ -1");
    gives("exp(50)", "≈ 5.1847055285871e21");
}

#[test]
fn numbers_in_other_bases() {
    gives("0xff + 0b101 + 0o17", "275");
}

#[test]
fn mistakes_are_pointed_at() {
    use ErrorKind::InvalidInput;
    fails(
        "1 +",
        InvalidInput,
        "at character 4: the expression ends too early",
    );
    fails(
        "(1 + 2",
        InvalidInput,
        "at character 7: the `(` at character 1 is not closed",
    );
    fails("1)", InvalidInput, "at character 2: a `)` without its `(`");
    fails(
        "2 x",
        InvalidInput,
        "at character 3: expected an operator before `x`",
    );
    fails(
        "1,000",
        InvalidInput,
        "at character 2: commas stand only between arguments; write 1000 or 1_000",
    );
    fails(
        "80 + 12%",
        InvalidInput,
        "at character 8: `%` is the remainder; write 12/100 for 12 percent",
    );
    fails(
        "3 km",
        InvalidInput,
        "at character 3: expected an operator before `km`",
    );
    fails(
        "km",
        InvalidInput,
        "at character 1: `km` is unknown: there are no variables or units",
    );
    fails(
        "sqrt 2",
        InvalidInput,
        "at character 1: `sqrt` is a function: write sqrt(..)",
    );
    fails(
        "sqrt(1, 2)",
        InvalidInput,
        "at character 1: `sqrt` does not take 2 arguments",
    );
    fails("1/0", InvalidInput, "at character 2: division by zero");
    fails(
        "sqrt(-1)",
        InvalidInput,
        "at character 1: the result is no real number",
    );
    fails(
        "1 $ 2",
        InvalidInput,
        "at character 3: `$` has no meaning here",
    );
    fails(
        "",
        InvalidInput,
        "at character 1: the expression ends too early",
    );
    fails("0xzz", InvalidInput, "at character 1: `0xzz` is no number");
}

#[test]
fn every_bound_holds() {
    use ErrorKind::TooLarge;
    fails(
        "9^9^9",
        TooLarge,
        "at character 2: a number would have more than 9830 digits",
    );
    fails(
        "2501!",
        TooLarge,
        "at character 5: `!` takes numbers up to 2500",
    );
    fails(
        "1e9001",
        TooLarge,
        "at character 1: the exponent is over 9000",
    );
    fails(
        &"(".repeat(65),
        TooLarge,
        "at character 65: nested over 64 deep",
    );
    fails(
        &"1".repeat(1001),
        TooLarge,
        "1001 characters; at most 1000 are calculated",
    );
    assert_eq!(calc("2^32767".into()).unwrap().len(), 9_864);
    fails(
        "2^32768",
        TooLarge,
        "at character 2: a number would have more than 9830 digits",
    );
    fails(
        "exp(1000)",
        TooLarge,
        "at character 1: the result is too large for a number that is not exact",
    );
}

/// No input panics: pieces of expressions in any order give a number or an error.
#[test]
fn any_text_gets_an_answer() {
    let pieces = [
        "1", "2.5", "(", ")", "-", "+", "*", "/", "//", "%", "^", "!", ",", "sqrt(", "log(", "pi",
        "e", " ", "0", "9e9", "ü", "choose(",
    ];
    let mut state = 3_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let _ = calc(text);
    }
}
