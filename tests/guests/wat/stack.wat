;; Recurses on the engine's own stack, where no language runtime notices first.
(core module $m
  (memory (export "memory") 1)
  (func $deeper (param i64) (result i64)
    (i64.add (call $deeper (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32)
    (drop (call $deeper (i64.const 0)))
    (unreachable)))
(core instance $i (instantiate $m))
