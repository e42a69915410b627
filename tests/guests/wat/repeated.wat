;; Answers with 1 GiB that it does not have: one text of 1 MiB, named 1,024 times.
(core module $m
  (memory (export "memory") 32)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32)
    (local $at i32) (local $n i32)
    (memory.fill (i32.const 1048576) (i32.const 120) (i32.const 1048576))
    (local.set $at (i32.const 65536))
    (loop $next
      (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 1048576))
      (i32.store (i32.add (local.get $at) (i32.const 8)) (i32.const 1048576))
      (local.set $at (i32.add (local.get $at) (i32.const 36)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $n) (i32.const 1024))))
    (i32.store (i32.const 1028) (i32.const 65536))
    (i32.store (i32.const 1032) (i32.const 1024))
    (i32.const 1024)))
(core instance $i (instantiate $m))
