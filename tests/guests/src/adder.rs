//! A component that knows nothing of toolcell: it exports a function with types of WIT.

#![allow(unsafe_code, reason = "what is made of the WIT has to be")]

wit_bindgen::generate!({
    inline: "
        package docs:adder;
        world adder {
            export add: func(x: u32, y: u32) -> u32;
        }
    ",
});

struct Adder;

impl Guest for Adder {
    fn add(x: u32, y: u32) -> u32 {
        x.wrapping_add(y)
    }
}

export!(Adder);
