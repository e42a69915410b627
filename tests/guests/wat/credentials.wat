;; Imports credentials, and has no manifest in which it could have asked for any.
(import "toolcell:tool/secrets@0.1.0" (instance (export "exists" (func (param "name" string) (result bool)))))
(core module $m
  (memory (export "memory") 1)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $i (instantiate $m))
