//! A component that knows nothing of toolcell and uses every kind of type, and values that are odd in JSON.

#![allow(unsafe_code, reason = "what is made of the WIT has to be")]

wit_bindgen::generate!({
    inline: "
        package test:shapes@1.2.0;

        interface shapes {
            record point { x: s32, y: s32, long-label: option<string> }
            variant shape { empty, circle(f64), polygon(list<point>) }
            enum colour { red, light-blue }
            flags rights { read, write, run }
            resource pen { constructor(); draw: func() -> string; }

            back: func(it: shape) -> shape;
            move-by: func(it: point, by: tuple<s32, s32>) -> point;
            maybe: func(it: option<option<u32>>) -> option<option<u32>>;
            paint: func(hue: colour, may: rights) -> tuple<rights, colour, char>;
            widest: func(u: u64, s: s64) -> tuple<u64, s64>;
            floats: func(a: f32, b: f64) -> tuple<f32, f64, f32, f64, f64>;
            bytes: func(it: list<u8>) -> list<u8>;
            divide: func(a: s32, b: s32) -> result<s32, string>;
            refuse: func() -> result<_, colour>;
            nothing: func();
            text: func(length: u32) -> string;
            zeros: func(length: u32) -> list<u8>;
            numbers: func(length: u32) -> list<u64>;
            leave: func();
            read: func(path: string) -> result<string, string>;
            borrow-pen: func() -> pen;
            get-URL: func() -> string;
        }

        world all { export shapes; }
    ",
});

use exports::test::shapes::shapes::{Colour, Guest, GuestPen, Pen, Point, Rights, Shape};

struct All;

struct OnePen;

impl GuestPen for OnePen {
    fn new() -> Self {
        OnePen
    }

    fn draw(&self) -> String {
        String::new()
    }
}

impl Guest for All {
    type Pen = OnePen;

    fn back(it: Shape) -> Shape {
        it
    }

    fn move_by(it: Point, by: (i32, i32)) -> Point {
        Point {
            x: it.x.wrapping_add(by.0),
            y: it.y.wrapping_add(by.1),
            ..it
        }
    }

    fn maybe(it: Option<Option<u32>>) -> Option<Option<u32>> {
        it
    }

    fn paint(with: Colour, may: Rights) -> (Rights, Colour, char) {
        (may, with, '\u{10ffff}')
    }

    fn widest(u: u64, s: i64) -> (u64, i64) {
        (u, s)
    }

    fn floats(a: f32, b: f64) -> (f32, f64, f32, f64, f64) {
        (a, b, f32::NAN, f64::NEG_INFINITY, -0.0)
    }

    fn bytes(mut it: Vec<u8>) -> Vec<u8> {
        it.reverse();
        it
    }

    fn divide(a: i32, b: i32) -> Result<i32, String> {
        a.checked_div(b)
            .ok_or_else(|| "it cannot be divided by zero".to_owned())
    }

    fn refuse() -> Result<(), Colour> {
        Err(Colour::LightBlue)
    }

    fn nothing() {}

    fn text(length: u32) -> String {
        "é".repeat(length as usize)
    }

    fn zeros(length: u32) -> Vec<u8> {
        vec![0; length as usize]
    }

    fn numbers(length: u32) -> Vec<u64> {
        vec![u64::MAX; length as usize]
    }

    fn leave() {
        std::process::exit(3)
    }

    fn read(path: String) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn borrow_pen() -> Pen {
        Pen::new(OnePen)
    }

    fn get_url() -> String {
        "https://example.com/".to_owned()
    }
}

export!(All);
