;; Loops for ever in its start function, before anybody called it.
(core module $m
  (memory (export "memory") 1)
  (func $start (loop $again (br $again)))
  (start $start)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $i (instantiate $m))
