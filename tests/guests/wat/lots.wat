;; Asks for 1 GiB of random bytes in one go.
(import "wasi:random/random@0.2.12" (instance $random (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
(core module $memory
  (memory (export "memory") 1)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192)))
(core instance $mem (instantiate $memory))
(core func $lower (canon lower (func $random "get-random-bytes") (memory (core memory $mem "memory"))
  (realloc (core func $mem "realloc"))))
(core module $m
  (import "host" "memory" (memory 1))
  (import "host" "bytes" (func $bytes (param i64 i32)))
  (export "memory" (memory 0))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32)
    (call $bytes (i64.const 1073741824) (i32.const 512))
    (i32.const 1024)))
(core instance $i (instantiate $m (with "host" (instance
  (export "memory" (memory $mem "memory"))
  (export "bytes" (func $lower))))))
