;; Imports what no manifest of its own declares and no host of ours offers.
(import "evil:host/backdoor@1.0.0" (instance (export "open" (func))))
(core module $m
  (memory (export "memory") 1)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $i (instantiate $m))
