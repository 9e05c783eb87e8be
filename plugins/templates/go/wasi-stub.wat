;; The WASI that Go's runtime imports, as stubs: no files, no environment, output is dropped, randomness is the same in each
;; call, and a clock that begins at 0 and moves only when it is read or waited for. So the component imports nothing but
;; moltrun's interface. (The usual adapter would grow the memory behind the back of Go's allocator.)
(module
  (import "env" "memory" (memory 0))
  (global $now (mut i64) (i64.const 0))
  (global $random (mut i64) (i64.const 0x9E3779B97F4A7C15))

  (func $none (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))

  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "environ_get" (func $nothing))
  (export "fd_fdstat_set_flags" (func $nothing))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) (unreachable))

  (func (export "clock_time_get") (param i32 i64) (param $time i32) (result i32)
    (global.set $now (i64.add (global.get $now) (i64.const 1000)))
    (i64.store align=1 (local.get $time) (global.get $now))
    (i32.const 0))

  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        ;; xorshift64
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
        (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
        (i64.store8 (local.get $at) (global.get $random))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $more)))
    (i32.const 0))

  ;; Everything is written, to nowhere.
  (func (export "fd_write") (param i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $parts))))
        (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $more)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))

  ;; 8 is EBADF.
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32) (param $stat i32) (result i32)
    (memory.fill (local.get $stat) (i32.const 0) (i32.const 24))
    (i32.const 0))

  ;; Go waits with one clock as first subscription: it is over at once, and the clock has moved. 52 is ENOSYS.
  (func (export "poll_oneoff") (param $wanted i32) (param $events i32) (param $count i32) (param $ready i32) (result i32)
    (if (i32.or (i32.eqz (local.get $count)) (i32.load8_u offset=8 (local.get $wanted)))
      (then (return (i32.const 52))))
    (if (i32.and (i32.load8_u offset=40 (local.get $wanted)) (i32.const 1))
      (then (global.set $now (i64.load offset=24 (local.get $wanted))))
      (else (global.set $now (i64.add (global.get $now) (i64.load offset=24 (local.get $wanted))))))
    (memory.fill (local.get $events) (i32.const 0) (i32.const 32))
    (i64.store (local.get $events) (i64.load (local.get $wanted)))
    (i32.store (local.get $ready) (i32.const 1))
    (i32.const 0)))
