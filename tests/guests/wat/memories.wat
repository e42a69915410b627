;; Has many memories, each within the limit and all together far beyond it: 4 of 100 MiB.
(core module $large
  (memory (export "memory") 1600)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $a (instantiate $large))
(core instance $b (instantiate $large))
(core instance $c (instantiate $large))
(core instance $i (instantiate $large))
