;; Answers with 5 million empty texts, which cost the guest nothing and a careless host a lot.
(core module $m
  (memory (export "memory") 2800)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 1028) (i32.const 65536))
    (i32.store (i32.const 1032) (i32.const 5000000))
    (i32.const 1024)))
(core instance $i (instantiate $m))
