;; Grows its table until it is refused, and traps then.
(core module $m
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1))))
    (unreachable)))
(core instance $i (instantiate $m))
