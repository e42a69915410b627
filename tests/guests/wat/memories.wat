;; Has two memories, each within the limit and both together beyond it: 2 of 160 MiB.
(core module $large
  (memory (export "memory") 2560)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $a (instantiate $large))
(core instance $i (instantiate $large))
