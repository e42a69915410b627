//! From tokens to a number.

use toolcell_guest::{Error, Result};

use crate::functions::{call, constant, factorial, is_known};
use crate::limits::{DEPTH, EXPRESSION_CHARACTERS};
use crate::number::Number;
use crate::token::{Token, at, tokens};

/// The value of an expression.
pub(crate) fn evaluate(text: &str) -> Result<Number> {
    let length = text.chars().count();
    if length > EXPRESSION_CHARACTERS {
        let what = format!("{length} characters; at most {EXPRESSION_CHARACTERS} are calculated");
        return Err(Error::too_large(what));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        end: length + 1,
        depth: 0,
    };
    let number = parser.expression(0)?;
    match parser.tokens {
        [] => Ok(number),
        [(place, Token::Sign(")")), ..] => Err(at(*place, "a `)` without its `(`")),
        [(place, Token::Sign(",")), ..] => Err(at(
            *place,
            "commas stand only between arguments; write 1000 or 1_000",
        )),
        [(place, token), ..] => {
            let what = format!("expected an operator before {}", shown(token));
            Err(at(*place, &what))
        }
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    /// The place behind the last character, for errors there.
    end: usize,
    depth: usize,
}

/// How strongly an operator binds to its left and to its right.
fn strength(sign: &str) -> Option<(u8, u8)> {
    match sign {
        "+" | "-" => Some((1, 2)),
        "*" | "/" | "//" | "%" => Some((3, 4)),
        "^" => Some((8, 7)), // 2^3^2 is 2^(3^2)
        _ => None,
    }
}

/// A sign before a number: weaker than a power, so that -2^2 is -4.
const SIGNED: u8 = 5;
const FACTORIAL: u8 = 9;

impl Parser<'_> {
    /// An expression whose operators all bind at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Number> {
        self.depth += 1;
        if self.depth > DEPTH {
            let what = format!("at character {}: nested over {DEPTH} deep", self.place());
            return Err(Error::too_large(what));
        }
        let mut left = self.operand()?;
        while let Some((place, Token::Sign(sign))) = self.tokens.first() {
            if *sign == "!" && FACTORIAL >= least {
                self.skip();
                left = factorial(&left)
                    .map_err(|error| error.context(format!("at character {place}")))?;
                continue;
            }
            let Some((_, to_right)) = strength(sign).filter(|(to_left, _)| *to_left >= least)
            else {
                break;
            };
            self.skip();
            if *sign == "%" && self.at_end_of_operand() {
                return Err(at(
                    *place,
                    "`%` is the remainder; write 12/100 for 12 percent",
                ));
            }
            let right = self.expression(to_right)?;
            left = left
                .apply(sign, right)
                .map_err(|error| error.context(format!("at character {place}")))?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Number> {
        let place = self.place();
        let Some((_, token)) = self.tokens.first() else {
            return Err(at(place, "the expression ends too early"));
        };
        self.skip();
        match token {
            Token::Number(number) => Ok(Number::Exact(number.clone())),
            Token::Sign("-") => self.expression(SIGNED).map(Number::negate),
            Token::Sign("+") => self.expression(SIGNED),
            Token::Sign("(") => {
                let number = self.expression(0)?;
                self.close(place)?;
                Ok(number)
            }
            Token::Name(name) => self.name(name, place),
            token => Err(at(
                place,
                &format!("expected a number, found {}", shown(token)),
            )),
        }
    }

    fn name(&mut self, name: &str, place: usize) -> Result<Number> {
        if let Some(number) = constant(name) {
            return Ok(number);
        }
        if !is_known(name) {
            return Err(at(
                place,
                &format!("`{name}` is unknown: there are no variables or units"),
            ));
        }
        if !matches!(self.tokens.first(), Some((_, Token::Sign("(")))) {
            return Err(at(
                place,
                &format!("`{name}` is a function: write {name}(..)"),
            ));
        }
        let opened = self.place();
        self.skip();
        let mut arguments = vec![self.expression(0)?];
        while matches!(self.tokens.first(), Some((_, Token::Sign(",")))) {
            self.skip();
            arguments.push(self.expression(0)?);
        }
        self.close(opened)?;
        call(name, arguments).map_err(|error| error.context(format!("at character {place}")))
    }

    fn close(&mut self, opened: usize) -> Result<()> {
        match self.tokens.first() {
            Some((_, Token::Sign(")"))) => {
                self.skip();
                Ok(())
            }
            Some((place, token)) if !matches!(token, Token::Sign(_)) => Err(at(
                *place,
                &format!("expected an operator before {}", shown(token)),
            )),
            _ => Err(at(
                self.place(),
                &format!("the `(` at character {opened} is not closed"),
            )),
        }
    }

    fn at_end_of_operand(&self) -> bool {
        !matches!(
            self.tokens.first(),
            Some((
                _,
                Token::Number(_) | Token::Name(_) | Token::Sign("(" | "-" | "+")
            ))
        )
    }

    fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn place(&self) -> usize {
        self.tokens.first().map_or(self.end, |(place, _)| *place)
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("the number {number}"),
        Token::Name(name) => format!("`{name}`"),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}
